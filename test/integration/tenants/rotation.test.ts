import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { type ConfigMap, paths, type Secret } from '../../support/api.ts';
import { judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Authority, installation, type Tenant } from '../../support/installation.ts';

const authorityName = 'held';
const bundleName = 'held-trust';
const spec = { authorityRef: { name: authorityName }, server: { service: 'db' } };
const secretName = 'db-server-tls';
const finalizers = ['example.com/hold'];
const isDone = new AbortController();

let honest: Tenant;
/** Two namespaces of one tenant with the role `edit` in both. */
let hostile: Tenant;
let hostileToo: Tenant;

const world = installation({}, async () => {
  await world.createAuthority(authorityName, {
    secretName: authorityName,
    root: {},
    rotation: { propagationDelay: '3s' },
    trustBundle: { configMap: { name: bundleName, namespaceSelector: { matchLabels: { trust: authorityName } } } },
  });
  await world.authorityIs(authorityName, 'True');
  [honest, hostile, hostileToo] = [
    await world.tenant('honest'),
    await world.tenant('hostile'),
    await world.tenant('hostile'),
  ];
  for (const tenant of [honest, hostile, hostileToo]) {
    await tenant.label({ trust: authorityName });
    await tenant.issue('db', spec);
    await eventually(async () => assert.ok((await bundleOf(tenant)) !== undefined, 'the bundle is not published'));
  }
});
after(() => isDone.abort());

const status = async (): Promise<NonNullable<Authority['status']>> =>
  (await world.authority(authorityName)).status ?? {};

const annotate = (verb: string, value: string): Promise<unknown> =>
  world.patchAuthority(authorityName, {
    metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } },
  });

const delayIs = (propagationDelay: string): Promise<unknown> =>
  world.patchAuthority(authorityName, { spec: { rotation: { propagationDelay } } });

/** Waits for a phase, and returns the rotation. */
const reaches = (phase: string) =>
  eventually(
    async () => {
      const { rotation } = await status();
      assert.ok(rotation?.phase === phase, `the rotation is not ${phase}: ${JSON.stringify(rotation)}`);
      return rotation;
    },
    { timeoutMs: 60_000 },
  );

const bundleOf = ({ namespace }: Tenant): Promise<ConfigMap | undefined> =>
  world.api.find<ConfigMap>(paths.configMaps(namespace, bundleName));

/** Repeats an action every second until the end of the file, and ignores its errors. */
async function again(action: () => Promise<unknown>): Promise<void> {
  while (!isDone.signal.aborted) {
    await action().catch(() => undefined);
    await delay(1000, undefined, { signal: isDone.signal }).catch(() => undefined);
  }
}

/** Creates a copy of the tenant's Secret under another name, with this metadata. */
async function copyOf(tenant: Tenant, name: string, metadata: object): Promise<void> {
  const { namespace } = tenant;
  const { type, data, metadata: original } = await tenant.secret(secretName);
  const { labels } = original;
  await world.api.create<Secret>(paths.secrets(namespace), {
    type,
    data,
    metadata: { namespace, name, labels, ...metadata },
  });
}

/** Every known way in which a tenant can block a rotation. */
const attacks: Readonly<Record<string, () => Promise<unknown>>> = {
  async 'writes to ca.crt of its own Secret every second'() {
    let round = 0;
    void again(() => hostile.patchSecret(secretName, { data: { 'ca.crt': `${++round}AAA`.slice(0, 4) } }));
  },
  async 'writes to its copy of the published bundle every second'() {
    let round = 0;
    const path = paths.configMaps(hostile.namespace, bundleName);
    void again(() => world.api.patch(path, { data: { 'ca.crt': `theirs ${++round}` } }));
  },
  async 'copies its Secret, with an owner that does not exist and a finalizer'() {
    const owner = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate', name: 'gone', controller: true };
    // The garbage collector deletes objects without an existing owner, and the finalizer keeps the Secret.
    const ownerReferences = [{ ...owner, uid: '00000000-0000-4000-8000-000000000000' }];
    await copyOf(hostileToo, 'copy', { finalizers, ownerReferences });
  },
  async 'holds a resource in deletion, with an immutable Secret'() {
    await hostileToo.issue('held', { ...spec, server: { service: 'held' } });
    await hostileToo.patch('held', { metadata: { finalizers } });
    await hostileToo.delete('held');
    await hostileToo.patchSecret('held-server-tls', { immutable: true, metadata: { finalizers } });
  },
  async 'makes its Secret immutable, with a finalizer'() {
    await hostileToo.patchSecret(secretName, { immutable: true, metadata: { finalizers } });
  },
  async 'deletes the published bundle, with a finalizer'() {
    const path = paths.configMaps(hostileToo.namespace, bundleName);
    await world.api.patch(path, { metadata: { finalizers } });
    await world.api.delete(path);
  },
  async 'makes a ConfigMap that names the authority as its owner, with a finalizer'() {
    const published = await bundleOf(hostileToo);
    const { labels, ownerReferences } = published?.metadata ?? {};
    await world.api.create(paths.configMaps(hostileToo.namespace), {
      metadata: { name: 'former', labels, ownerReferences, finalizers },
      immutable: true,
      data: { 'ca.crt': 'theirs' },
    });
  },
};

/** Skips blockers like an administrator who reads them. Returns all blockers that were ever reported. */
async function rotate(t: { diagnostic(text: string): void }, before: string): Promise<Set<string>> {
  const reported = new Set<string>();
  await annotate('rotate-root', `after ${before}`);
  await eventually(
    async () => {
      const { rotation, activeRoot } = await status();
      for (const blocker of rotation?.blockers ?? []) {
        if (!reported.has(blocker)) t.diagnostic(`${rotation?.phase} ${rotation?.progress}: ${blocker}`);
        reported.add(blocker);
        // An administrator runs the command in the message.
        const command = /mtls-operator\.io\/skip-gate=(\S+?)\)/.exec(blocker)?.[1];
        if (command !== undefined && isLate(rotation)) await annotate('skip-gate', command);
      }
      assert.equal(rotation, undefined, JSON.stringify(rotation));
      assert.notEqual(activeRoot?.fingerprint, before);
    },
    { timeoutMs: 120_000, message: 'the rotation does not end' },
  );
  return reported;
}

/** True when only hostile namespaces block the rotation. Until then, the administrator waits for the honest tenant. */
const isLate = (rotation: NonNullable<Authority['status']>['rotation']): boolean =>
  (rotation?.blockers ?? []).every((blocker) => !blocker.includes(honest.namespace) && !/ until \d{4}-/.test(blocker));

describe('A tenant that blocks a root rotation', () => {
  test('by changing one object after another, each once, is named in the phase Draining', async (t) => {
    const names = Array.from({ length: 20 }, (_, i) => `one-of-many-${i}`);
    await Promise.all(names.map((name) => hostileToo.issue(name, { ...spec, server: { service: name } })));
    const before = (await status()).activeRoot?.fingerprint ?? '';
    const isNamed = (blocker: string) => blocker.includes(`to stay unchanged: ${hostileToo.namespace}/one-of-many-`);
    const change = () => hostileToo.patchSecret(`${names.shift()}-server-tls`, { data: { 'ca.crt': 'AAAA' } });
    const isOver = new AbortController();
    // Draining waits for an hour, until the attack has begun.
    await delayIs('1h');
    const attack = (async () => {
      await annotate('skip-gate', `${(await reaches('Distributing')).id}/Distributing`);
      await reaches('Draining');
      await change();
      // `rotate` skips the namespace when status names the object.
      const skip = `Draining/${hostileToo.namespace}`;
      await eventually(async () => assert.ok((await status()).rotation?.skipped?.includes(skip)));
      await delayIs('3s');
      while (!isOver.signal.aborted && names.length > 0) {
        await change();
        await delay(2000, undefined, { signal: isOver.signal }).catch(() => undefined);
      }
    })();
    const [reported] = await Promise.all([rotate(t, before).finally(() => isOver.abort()), attack]);
    assert.ok([...reported].some(isNamed), [...reported].join('\n'));
    assert.ok(names.length > 0, 'the rotation ended only when no object was left to change');
  });

  test('is named with the reason, can be skipped by namespace, and does not block other tenants', async (t) => {
    const before = (await status()).activeRoot?.fingerprint ?? '';
    for (const [title, attack] of Object.entries(attacks)) {
      t.diagnostic(title);
      await attack();
    }
    // Repeated changes by other clients are reported before any rotation.
    await hostile.notReady('db', 'SecretContested');
    await eventually(async () => {
      const published = (await status()).conditions?.find(({ type }) => type === 'TrustPublished');
      assert.deepEqual(
        [published?.status, published?.reason],
        ['False', 'TrustContested'],
        published?.message ?? 'there is no condition',
      );
      assert.match(
        published?.message ?? '',
        new RegExp(`keeps changing ConfigMap \\S+ in 1 of 3 namespaces: ${hostile.namespace} `),
      );
    });
    const reported = [...(await rotate(t, before))];

    const skips = reported.filter((blocker) => blocker.includes('skip-gate='));
    for (const { namespace } of [hostile, hostileToo]) {
      assert.ok(
        skips.some((blocker) => blocker.includes(`/${namespace}`)),
        `${namespace} is not named`,
      );
    }
    // The honest tenant blocks only until it is done, and the message never suggests to skip the whole phase.
    assert.deepEqual(
      reported.filter((blocker) => / to skip the phase/.test(blocker)),
      [],
    );
    const foreign = reported.filter((blocker) => /\/(copy|former)\b/.test(blocker));
    assert.deepEqual(foreign, [], 'the rotation waits for objects that no resource can own');
    assert.ok(
      reported.some((blocker) =>
        blocker.includes(`${hostileToo.namespace}/${secretName} (being deleted, but a finalizer holds it)`),
      ),
      'the immutable Secret is not named with its reason',
    );
    const { activeRoot } = await status();
    await honest.ready('db');
    assert.deepEqual((await judge(await honest.secret(secretName))).roots, [activeRoot?.fingerprint ?? '']);
  });
});
