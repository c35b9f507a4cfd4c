import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { paths, type Secret } from '../../support/api.ts';
import { type BroughtRoot, broughtRoot, extensions } from '../../support/behaviours/brought-root.ts';
import { digestOf, fileOf, fingerprintOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Authority, installation, type Tenant } from '../../support/installation.ts';
import { scratchFolder } from '../../support/scratch.ts';

const states: Authority[] = [];
const world = installation({}, async ({ api }) => {
  void api
    .watch<Authority>(paths.authorities(), ({ object }) => states.push(object))
    .catch((error: unknown) => assert.fail(String(error)));
});

type Rotation = NonNullable<NonNullable<Authority['status']>['rotation']>;
type Phase = Rotation['phase'];

interface Event {
  readonly regarding: { readonly name: string };
  readonly type: string;
  readonly reason: string;
  readonly note: string;
}

/** An authority, its certificates, and the actions of its users. */
class Rotating {
  readonly name: string;
  readonly tenant: Tenant;

  constructor(name: string, tenant: Tenant) {
    this.name = name;
    this.tenant = tenant;
  }

  status = async () => (await world.authority(this.name)).status ?? {};
  activeRoot = async () => (await this.status()).activeRoot?.fingerprint ?? '';
  rootSecret = (): Promise<Secret> => world.rootSecret(this.name);

  async annotate(verb: string, value: string): Promise<void> {
    const annotations = { [`mtls-operator.io/${verb}`]: value };
    await world.patchAuthority(this.name, { metadata: { annotations } });
  }

  configure = (spec: object): Promise<Authority> => world.patchAuthority(this.name, { spec });

  /** Waits for a phase, and returns the rotation. */
  async reaches(phase: Phase) {
    return eventually(
      async () => {
        const { rotation } = await this.status();
        assert.equal(rotation?.phase, phase, JSON.stringify(rotation));
        return rotation;
      },
      { timeoutMs: 60_000, message: `${this.name} is not ${phase}` },
    );
  }

  /** Waits until the watch has reported a state of the rotation with this property. */
  hadRotation = (property: (rotation: Rotation) => boolean): Promise<void> =>
    eventually(() => assert.ok(this.states().some(({ rotation }) => rotation !== undefined && property(rotation))), {
      timeoutMs: 60_000,
    });

  /** Skips the gate of Distributing when every bundle has the new root. The later phases still have their delays. */
  async skipsDistributing(): Promise<void> {
    const { id } = await this.reaches('Distributing');
    await this.says('waiting for pods to load');
    await this.annotate('skip-gate', `${id}/Distributing`);
  }

  /** Waits until the condition Rotating contains these words. */
  says = (words: string) =>
    eventually(async () => {
      const condition = (await this.status()).conditions?.find(({ type }) => type === 'Rotating');
      assert.ok(condition?.message.includes(words) === true, condition?.message ?? 'there is no rotation');
    });

  /** The events on the authority. */
  async events(): Promise<Event[]> {
    const events = await world.api.list<Event & Secret>(paths.events);
    return events.filter(({ regarding }) => regarding.name === this.name);
  }

  /** Waits until no rotation is in progress. With `before`, the active root must also differ from it. */
  async ends(before?: string): Promise<string> {
    return eventually(
      async () => {
        const { rotation, activeRoot } = await this.status();
        assert.equal(rotation, undefined, JSON.stringify(rotation));
        if (before !== undefined) assert.notEqual(activeRoot?.fingerprint, before);
        return activeRoot?.fingerprint ?? '';
      },
      { timeoutMs: 90_000, message: `the rotation of ${this.name} does not end` },
    );
  }

  /** Asserts that every Secret verifies, trusts exactly these roots, and has a leaf of the first. */
  async isOn(...roots: readonly string[]): Promise<void> {
    for (const secret of await this.tenant.secrets()) {
      assert.deepEqual((await judge(secret)).roots, roots);
      const [leaf] = await rootsOf([secret]);
      assert.equal(leaf, roots[0]);
    }
  }

  /** Each status that the watch has reported, in order. */
  states(): NonNullable<Authority['status']>[] {
    return states.filter(({ metadata }) => metadata.name === this.name).map(({ status }) => status ?? {});
  }

  /** The phases that the watch has reported, in order. */
  phases(): (Phase | undefined)[] {
    const seen = this.states().map(({ rotation }) => rotation?.phase);
    return seen.filter((phase, i) => phase !== seen[i - 1]);
  }
}

/** The roots of the leaves in Secrets, from the status of their resources. */
async function rootsOf(secrets: readonly Secret[]): Promise<(string | undefined)[]> {
  return Promise.all(
    secrets.map(async ({ metadata: { namespace = '', name, ownerReferences } }) => {
      const owner = await world.api.get<Awaited<ReturnType<Tenant['get']>>>(
        paths.certificates(namespace, ownerReferences?.[0]?.name),
      );
      return owner.status?.secrets?.find(({ secretName }) => secretName === name)?.rootFingerprint;
    }),
  );
}

let authorities = 0;

interface Options {
  readonly rotation?: object;
  readonly root?: object | null;
  /** The content of the root Secret before the authority is created. */
  readonly brings?: BroughtRoot;
  readonly certificates?: number;
  readonly spec?: object;
}

async function rotating({ rotation, root = {}, brings, certificates = 2, spec }: Options = {}): Promise<Rotating> {
  const name = `rotated-${++authorities}`;
  if (brings !== undefined) await world.bringRoot(name, brings);
  else if (root === null) await world.bringRoot(name, await broughtRoot({ commonName: `First of ${name}` }));
  const settings = { propagationDelay: '1s', ...rotation };
  await world.createAuthority(name, {
    secretName: name,
    ...(root === null ? {} : { root }),
    rotation: settings,
    ...spec,
  });
  await world.authorityIs(name, 'True');
  const tenant = await world.tenant('rotation');
  const names = Array.from({ length: certificates }, (_, i) => `c${i}`);
  const requested = { authorityRef: { name }, server: { service: 'db' }, client: { serviceAccount: 'db' } };
  for (const resource of names) await tenant.create(resource, requested);
  for (const resource of names) await tenant.ready(resource);
  return new Rotating(name, tenant);
}

/** Creates a resource that is Denied after its first certificate, which stays in use: a rotation does not switch it to the new root. */
async function isDenied({ name: authority, tenant }: Rotating, name: string): Promise<void> {
  await tenant.issue(name, { authorityRef: { name: authority }, server: { service: name } });
  await tenant.patch(name, { spec: { server: { dnsNames: [`${name}.example.com`] } } });
  await tenant.notReady(name, 'Denied');
}

const concurrency = 4;
const all: Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];

describe('a requested rotation', { concurrency }, () => {
  test('passes through its phases, and no leaf issued by the new root exists before every bundle has the new root (40 s: each phase waits for its delay)', async () => {
    // Longer than a reconcile on a slow machine, so that the watch sees each phase.
    const authority = await rotating({ certificates: 4, rotation: { propagationDelay: '4s' } });
    const old = await authority.activeRoot();
    const oldKey = fileOf(await authority.rootSecret(), 'tls.key');
    await authority.annotate('rotate-root', 'spring');
    const current = await authority.ends(old);
    await authority.isOn(current);
    await eventually(() => assert.deepEqual(authority.phases(), [...all, undefined]));
    assert.equal((await authority.status()).lastHandledRotateRoot, 'spring');

    const root = await authority.rootSecret();
    assert.deepEqual(
      Object.keys(root.data ?? {}).sort(),
      ['ca.crl', 'ca.crt', 'revoked.json', 'tls.crt', 'tls.key'],
      'a key was not removed',
    );
    assert.notEqual(fileOf(root, 'tls.key'), oldKey);
    assert.equal(await fingerprintOf(fileOf(root, 'tls.crt')), current);

    const secrets = await authority.tenant.secrets();
    for (const secret of secrets) await world.watched.upTo(secret);
    const history = world.watched.states.filter(({ metadata }) => metadata.namespace === authority.tenant.namespace);
    const live = new Map<string, Secret>();
    let isSwitched = false;
    for (const state of history) {
      const { roots } = await judge(state);
      live.set(state.metadata.name, state);
      const isNew = roots[0] === current;
      if (isNew && !isSwitched) {
        isSwitched = true;
        for (const other of live.values()) {
          assert.ok(
            (await judge(other)).roots.includes(current),
            `${other.metadata.name} does not trust the new root yet`,
          );
        }
      }
    }
    assert.ok(isSwitched);
    for (const { metadata } of secrets) {
      const writes = history.filter((state) => state.metadata.name === metadata.name).length;
      assert.equal(
        writes,
        1 + 3,
        `${metadata.name}: one write to issue, and one each for the bundle, the leaf and the removal of the old root`,
      );
    }
  });

  test('reports what it waits for in the condition, in kubectl, in events and in metrics', async () => {
    const authority = await rotating({ rotation: { propagationDelay: '1h' }, certificates: 2 });
    const old = await authority.activeRoot();
    await authority.annotate('rotate-root', 'now');
    const rotation = await eventually(async () => {
      const found = (await authority.status()).rotation;
      assert.match(found?.blockers?.join() ?? '', /pods to load the last change: until .*propagationDelay 1h/);
      return found;
    });
    assert.equal(rotation?.phase, 'Distributing');
    assert.deepEqual([rotation?.progress, rotation?.done, rotation?.total], ['0 of 4', 0, 4]);
    assert.equal(rotation?.oldRoot, old);
    const { conditions } = await authority.status();
    const rotatingNow = conditions?.find(({ type }) => type === 'Rotating');
    assert.deepEqual([rotatingNow?.status, rotatingNow?.reason], ['True', 'Distributing']);
    assert.match(
      rotatingNow?.message ?? '',
      /^the operator adds the new root to every bundle; the old root signs; waiting for pods to load/,
    );
    const columns = await world.cluster.kubectl(['get', 'mauth', authority.name]);
    assert.match(columns, /ROTATION/);
    assert.match(columns, /Distributing/);
    const metrics = await (await fetch(`${world.operator.url}/metrics`)).text();
    assert.match(
      metrics,
      new RegExp(`mtls_operator_rotation_phase\\{authority="${authority.name}",phase="Distributing"\\} 1`),
    );
    assert.match(metrics, new RegExp(`mtls_operator_rotation_remaining\\{authority="${authority.name}"\\} 4`));
    await authority.configure({ rotation: { propagationDelay: '1s' } });
    await world.cluster.kubectl(['wait', 'mauth', authority.name, '--for=condition=Rotating=false', '--timeout=90s']);
    await authority.ends(old);
    const over = (await authority.status()).conditions?.find(({ type }) => type === 'Rotating');
    assert.deepEqual([over?.status, over?.reason], ['False', 'RotationCompleted']);
    await eventually(async () => {
      const reasons = new Set((await authority.events()).map(({ reason }) => reason));
      for (const reason of [
        'RotationStarted',
        'RotationSwitching',
        'RotationDraining',
        'RotationRetiring',
        'RotationCompleted',
      ]) {
        assert.ok(reasons.has(reason), `there is no event ${reason}`);
      }
    });
    const after = await (await fetch(`${world.operator.url}/metrics`)).text();
    assert.ok(!after.includes(`rotation_phase{authority="${authority.name}"`), 'the gauge remains after the rotation');
  });

  test('is refused with NextRootMissing if the authority has no spec.root', async () => {
    const authority = await rotating({ root: null, certificates: 1 });
    const before = digestOf(await authority.rootSecret());
    await authority.annotate('rotate-root', 'now');
    await eventually(async () => {
      const { conditions } = await authority.status();
      const condition = conditions?.find(({ type }) => type === 'Rotating');
      assert.deepEqual([condition?.status, condition?.reason], ['False', 'NextRootMissing']);
      assert.match(condition?.message ?? '', /next\.crt and next\.key/);
    });
    await world.authorityIs(authority.name, 'True');
    assert.equal((await authority.status()).lastHandledRotateRoot, undefined);
    assert.equal(digestOf(await authority.rootSecret()), before);
  });

  test('issues at the rate of reissuesPerSecond, and all Secrets of a resource switch together', async () => {
    // Eight Secrets in eight seconds.
    const authority = await rotating({ rotation: { reissuesPerSecond: 1 }, certificates: 4 });
    const old = await authority.activeRoot();
    await authority.annotate('rotate-root', 'now');
    const current = await authority.ends(old);
    await authority.hadRotation(({ phase }) => phase === 'Draining');
    const switching = authority.states().filter(({ rotation }) => rotation?.phase === 'Switching');
    const seen = new Set(switching.map(({ rotation }) => rotation?.progress));
    assert.ok(seen.size > 1, `progress was only seen at ${[...seen].join()}`);
    await authority.isOn(current);
  });
});

describe('an aborted rotation', { concurrency }, () => {
  test('in the phase Distributing drops the new root immediately, and no leaf was ever signed by it', async () => {
    const authority = await rotating({ rotation: { propagationDelay: '1h' } });
    const old = await authority.activeRoot();
    const leaves = (await authority.tenant.secrets()).map((secret) => fileOf(secret, 'tls.crt'));
    await authority.annotate('rotate-root', 'now');
    const { id } = await authority.reaches('Distributing');
    await authority.annotate('abort-rotation', id);
    assert.equal(await authority.ends(), old);
    await authority.says('was aborted');
    await eventually(() => authority.isOn(old));
    assert.deepEqual(
      (await authority.tenant.secrets()).map((secret) => fileOf(secret, 'tls.crt')),
      leaves,
    );
    assert.deepEqual(Object.keys((await authority.rootSecret()).data ?? {}).sort(), [
      'ca.crl',
      'ca.crt',
      'revoked.json',
      'tls.crt',
      'tls.key',
    ]);
  });

  test('in the phase Switching signs with the old root again; the new root stays trusted until its last certificate is gone', async () => {
    const authority = await rotating({ rotation: { reissuesPerSecond: 1 }, certificates: 5 });
    const old = await authority.activeRoot();
    await isDenied(authority, 'stuck');
    await authority.annotate('rotate-root', 'now');
    const { id, newRoot = '' } = await authority.reaches('Switching');
    await eventually(async () => assert.ok((await rootsOf(await authority.tenant.secrets())).includes(newRoot)));
    await authority.annotate('abort-rotation', id);
    await authority.hadRotation(({ phase, aborting }) => phase === 'Switching' && aborting === true);
    await authority.configure({ rotation: { reissuesPerSecond: 100 } });
    assert.equal(await authority.ends(), old);
    await authority.says('was aborted');
    await authority.isOn(old);
    assert.equal(await fingerprintOf(fileOf(await authority.rootSecret(), 'tls.crt')), old);
    const root = await authority.rootSecret();
    assert.deepEqual(
      Object.keys(root.data ?? {}).sort(),
      ['ca.crl', 'ca.crt', 'revoked.json', 'tls.crt', 'tls.key'],
      'a key was not removed',
    );
  });

  test('in the phase Draining goes back to the old root, too, and a new rotation can be requested', async () => {
    const authority = await rotating({ rotation: { propagationDelay: '1h' } });
    const old = await authority.activeRoot();
    await authority.annotate('rotate-root', 'now');
    await authority.skipsDistributing();
    const { id } = await authority.reaches('Draining');
    await authority.annotate('abort-rotation', id);
    await authority.hadRotation(({ aborting }) => aborting === true);
    await authority.configure({ rotation: { propagationDelay: '1s' } });
    assert.equal(await authority.ends(), old);
    await authority.isOn(old);
    await authority.annotate('rotate-root', 'again');
    await authority.isOn(await authority.ends(old));
  });
});

describe('a root that a user puts into the root Secret', { concurrency }, () => {
  const stage = (authority: Rotating, files: { 'tls.crt': string; 'tls.key': string }): Promise<Secret> =>
    world.bringRoot(authority.name, { 'next.crt': files['tls.crt'], 'next.key': files['tls.key'] });

  test('as next.crt and next.key becomes active in phases', async () => {
    const authority = await rotating({ root: null });
    const old = await authority.activeRoot();
    const next = await broughtRoot({ commonName: 'Next' });
    await stage(authority, next);
    const current = await authority.ends(old);
    assert.equal(current, await fingerprintOf(next['tls.crt']));
    await authority.isOn(current);
    assert.equal(fileOf(await authority.rootSecret(), 'tls.key').trim(), next['tls.key'].trim());
  });

  test('as next.crt is used in its latest version if it changes while it is distributed', async () => {
    const authority = await rotating({ root: null, rotation: { propagationDelay: '1h' } });
    const old = await authority.activeRoot();
    const [first, second] = [
      await broughtRoot({ commonName: 'First Next' }),
      await broughtRoot({ commonName: 'Second Next' }),
    ];
    await stage(authority, first);
    await authority.reaches('Distributing');
    await stage(authority, second);
    const latest = await fingerprintOf(second['tls.crt']);
    await authority.hadRotation(({ phase, newRoot }) => phase === 'Distributing' && newRoot === latest);
    await authority.configure({ rotation: { propagationDelay: '1s' } });
    const current = await authority.ends(old);
    assert.equal(current, latest);
    await authority.isOn(current);
  });

  test('as next.crt is not used if it is invalid, and the current root continues to sign', async () => {
    const authority = await rotating({ root: null });
    const old = await authority.activeRoot();
    const bad = await broughtRoot({ extensions: extensions.notCa });
    await stage(authority, bad);
    await eventually(async () => {
      const condition = (await authority.status()).conditions?.find(({ type }) => type === 'Rotating');
      assert.deepEqual([condition?.status, condition?.reason], ['False', 'NextRootNotCA']);
    });
    await authority.tenant.create('later', { authorityRef: { name: authority.name }, server: { service: 'db' } });
    await authority.tenant.ready('later');
    await authority.isOn(old);
  });

  test('as tls.crt is distributed first; certificates issued meanwhile are signed by the old root', async () => {
    const authority = await rotating({ root: null, rotation: { approval: 'Manual' } });
    const old = await authority.activeRoot();
    const other = await broughtRoot({ commonName: 'Other' });
    const otherFingerprint = await fingerprintOf(other['tls.crt']);
    await world.bringRoot(authority.name, other);
    const { id } = await authority.reaches('Distributing');
    await authority.tenant.create('meanwhile', { authorityRef: { name: authority.name }, server: { service: 'db' } });
    const { status } = await authority.tenant.ready('meanwhile');
    assert.equal(status?.secrets?.[0]?.rootFingerprint, old);
    await authority.annotate('approve-rotation', id);
    assert.equal(await authority.ends(old), otherFingerprint);
    await authority.isOn(otherFingerprint);
  });
});

describe('a gate that stays closed', { concurrency }, () => {
  test('names its blockers, and opens with skip-gate', async () => {
    const authority = await rotating({ certificates: 1 });
    const old = await authority.activeRoot();
    await isDenied(authority, 'stuck');
    await authority.annotate('rotate-root', 'now');
    const { id } = await authority.reaches('Switching');
    await eventually(async () => {
      const { rotation } = await authority.status();
      const { namespace } = authority.tenant;
      const wait = `1 of 3 Secrets to hold a certificate issued by the new root: ${namespace}/stuck-server-tls (Denied)`;
      const command = `kubectl annotate mtlsauthority ${authority.name} --overwrite mtls-operator.io/skip-gate=${id}/Switching/${namespace}`;
      assert.deepEqual(rotation?.blockers, [`${wait} (to skip namespace ${namespace}: ${command})`]);
      assert.equal(rotation?.progress, '2 of 3');
    });
    const stuck = await judge(await authority.tenant.secret('stuck-server-tls'));
    assert.equal(stuck.roots.length, 2, 'the bundle of a denied resource must be updated');
    await authority.annotate('approve-rotation', id);
    await authority.annotate('skip-gate', `r0/Switching`);
    await authority.says('mtls-operator.io/skip-gate=r0/Switching does nothing: it does not name this rotation');
    await authority.annotate('skip-gate', `${id}/Waiting`);
    await authority.says(`mtls-operator.io/skip-gate=${id}/Waiting does nothing: the phases are Distributing, `);
    assert.equal((await authority.status()).rotation?.phase, 'Switching', 'approve-rotation must not skip a gate');
    await authority.annotate('skip-gate', `${id}/Switching/${authority.tenant.namespace}`);
    await authority.reaches('Draining');
    assert.deepEqual((await authority.status()).rotation?.skipped, [`Switching/${authority.tenant.namespace}`]);
    await authority.annotate('skip-gate', `${id}/draining`);
    const current = await authority.ends(old);
    await eventually(async () => {
      const found = (await authority.events()).filter(({ reason }) =>
        /^(RotationGateSkipped|AnnotationIgnored)$/.test(reason),
      );
      const notes = found.map(({ type, reason, note }) => `${type} ${reason} ${note}`).sort();
      assert.equal(notes.length, 4, notes.join('; '));
      assert.match(notes[0] ?? '', /^Normal AnnotationIgnored .*r0\/Switching/);
      assert.match(
        notes[1] ?? '',
        /^Normal RotationGateSkipped the phase Draining no longer waits for Secrets and bundles, /,
      );
      assert.match(
        notes[2] ?? '',
        /^Normal RotationGateSkipped the phase Switching no longer waits for Secrets and bundles in namespace /,
      );
      assert.match(notes[3] ?? '', /^Warning AnnotationIgnored .*Waiting/);
    });
    await authority.tenant.patch('stuck', { spec: { server: { dnsNames: null } } });
    await authority.tenant.ready('stuck');
    await authority.isOn(current);
  });
});

describe('a root that the operator created', { concurrency }, () => {
  test('is rotated automatically before it expires', async () => {
    const root = { duration: '10m', renewBefore: '9m45s' };
    const authority = await rotating({ root, rotation: { propagationDelay: '1h' }, certificates: 1 });
    const old = await authority.activeRoot();
    await authority.reaches('Distributing');
    await authority.configure({ root: { renewBefore: '1m' }, rotation: { propagationDelay: '1s' } });
    const current = await authority.ends(old);
    await authority.isOn(current);
    assert.equal((await authority.status()).lastHandledRotateRoot, undefined);
  });
});

describe('an expired root', { concurrency }, () => {
  const soon = () => broughtRoot({ commonName: 'Soon', notAfter: new Date(Date.now() + 20_000) });

  test('is replaced by the root that is being distributed, whatever the rotation waits for (25 s: a root expires)', async () => {
    const brings = await soon();
    // A rotation starts when a tenth of the root's life is left. With these settings, the rotation then waits until the root expires.
    const rotation = { approval: 'Manual', propagationDelay: '1h' };
    const authority = await rotating({ brings, rotation, certificates: 1 });
    const old = await fingerprintOf(brings['tls.crt']);
    await eventually(async () => assert.notEqual(await authority.activeRoot(), old), { timeoutMs: 60_000 });
    await authority.configure({ rotation: { propagationDelay: '1s' } });
    const current = await authority.ends(old);
    await world.authorityIs(authority.name, 'True');
    await eventually(() => authority.isOn(current), { timeoutMs: 60_000 });
  });

  test('is replaced by a root that the operator creates, and its key is kept in case the clock is wrong', async () => {
    const past = { notBefore: new Date(Date.now() - 20 * 86_400_000), notAfter: new Date(Date.now() - 86_400_000) };
    const brings = await broughtRoot({ commonName: 'Long Past', ...past });
    const authority = await rotating({ brings, rotation: { approval: 'Manual', propagationDelay: '1s' } });
    const current = await authority.ends(await fingerprintOf(brings['tls.crt']));
    await eventually(() => authority.isOn(current));
    const root = await authority.rootSecret();
    assert.equal(fileOf(root, 'previous.key'), brings['tls.key']);
    assert.equal(await fingerprintOf(fileOf(root, 'tls.crt')), current);
  });

  test('is reported with the command that replaces it, if the authority has no spec.root (25 s: a root expires)', async () => {
    const brings = await soon();
    const name = `rotated-${++authorities}`;
    await world.bringRoot(name, brings);
    await world.createAuthority(name, { secretName: name });
    const { status } = await world.authorityIs(name, 'False', 'RootExpired');
    const message = status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
    const [, create, apply] = /: kubectl (create .*) \| kubectl (apply .*)$/.exec(message) ?? [];
    assert.ok(create !== undefined && apply !== undefined, message);
    const folder = await scratchFolder('expired-root');
    try {
      const next = await broughtRoot({ commonName: 'Next' });
      await writeFile(join(folder, 'root.crt'), next['tls.crt']);
      await writeFile(join(folder, 'root.key'), next['tls.key']);
      const words = (command: string) => command.replaceAll('=root.', `=${folder}/root.`).split(' ');
      const input = await world.cluster.kubectl(words(create));
      await world.cluster.kubectl(words(apply), { input });
      await world.authorityIs(name, 'True');
      assert.equal((await world.authority(name)).status?.activeRoot?.fingerprint, await fingerprintOf(next['tls.crt']));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

// Without concurrency: the restarts would disturb other tests.
describe('a restart of the operator during a rotation', () => {
  test('starts no rotation for a handled token, and one for a new token', async () => {
    const authority = await rotating({ certificates: 1 });
    const first = await authority.activeRoot();
    await authority.annotate('rotate-root', 'one');
    const second = await authority.ends(first);
    await world.restart();
    await authority.annotate('rotate-root', 'one');
    await authority.tenant.create('later', { authorityRef: { name: authority.name }, server: { service: 'db' } });
    await authority.tenant.ready('later');
    assert.equal(await authority.activeRoot(), second);
    await authority.annotate('rotate-root', 'two');
    await authority.ends(second);
    assert.equal((await authority.status()).lastHandledRotateRoot, 'two');
  });

  test('leaves a rotation that waits for approval waiting', async () => {
    const authority = await rotating({ rotation: { approval: 'Manual' } });
    const old = await authority.activeRoot();
    await authority.annotate('rotate-root', 'now');
    const { id } = await eventually(async () => {
      const { rotation } = await authority.status();
      assert.deepEqual(rotation?.blockers, [
        `approval: kubectl annotate mtlsauthority ${authority.name} --overwrite mtls-operator.io/approve-rotation=${rotation?.id}`,
      ]);
      return rotation ?? { id: '' };
    });
    await authority.annotate('approve-rotation', 'another-rotation');
    await authority.says('approve-rotation=another-rotation does nothing: it does not name this rotation');
    // Another id is not an approval: the rotation still waits after the restart.
    await world.restart();
    assert.equal((await authority.reaches('Distributing')).id, id);
    assert.equal(await authority.activeRoot(), old);
    await authority.annotate('approve-rotation', id);
    await eventually(async () => assert.equal((await authority.status()).rotation?.approved, id));
    await authority.isOn(await authority.ends(old));
  });

  test('distributes a root that replaced tls.crt meanwhile, and issues nothing until every bundle has it', async () => {
    const authority = await rotating({ root: null, rotation: { propagationDelay: '1h' } });
    const old = await authority.activeRoot();
    const other = await broughtRoot({ commonName: 'Other' });
    const current = await fingerprintOf(other['tls.crt']);
    await world.restart(() => world.bringRoot(authority.name, other));
    const { id } = await authority.reaches('Distributing');
    await authority.tenant.create('waits', { authorityRef: { name: authority.name }, server: { service: 'db' } });
    const { message } = await authority.tenant.notReady('waits', 'AuthorityNotReady');
    assert.match(message, /RootDistributing: .*to skip the wait: kubectl annotate .*skip-gate/);
    await eventually(async () => {
      for (const secret of await authority.tenant.secrets())
        assert.deepEqual((await judge(secret)).roots, [old, current]);
    });
    await authority.configure({ rotation: { propagationDelay: '1s' } });
    await authority.tenant.ready('waits');
    await authority.ends(old);
    await authority.isOn(current);
    assert.equal(id.length > 0, true);
  });
});
