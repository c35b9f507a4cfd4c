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
/** Two namespaces of one tenant, who may do there what the role `edit` allows. */
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

const bundleOf = ({ namespace }: Tenant): Promise<ConfigMap | undefined> =>
  world.api.find<ConfigMap>(paths.configMaps(namespace, bundleName));

/** Does something once a second until the end of the file, whether it succeeds or not. */
async function again(what: () => Promise<unknown>): Promise<void> {
  while (!isDone.signal.aborted) {
    await what().catch(() => undefined);
    await delay(1000, undefined, { signal: isDone.signal }).catch(() => undefined);
  }
}

/** A copy of the tenant's Secret under another name, changed. */
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

/** Every way to stand in the way of a rotation that a tenant was seen to have. */
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
    // The garbage collector deletes what has no owner, and the finalizer holds it.
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

/** Skips what blockers say, as an administrator does who reads them; returns all that they ever said. */
async function rotate(t: { diagnostic(text: string): void }, before: string): Promise<Set<string>> {
  const said = new Set<string>();
  await annotate('rotate-root', `after ${before}`);
  await eventually(
    async () => {
      const { rotation, activeRoot } = await status();
      for (const blocker of rotation?.blockers ?? []) {
        if (!said.has(blocker)) t.diagnostic(`${rotation?.phase} ${rotation?.progress}: ${blocker}`);
        said.add(blocker);
        // What an administrator types: the command in the message.
        const command = /mtls-operator\.io\/skip-gate=(\S+?)\)/.exec(blocker)?.[1];
        if (command !== undefined && isLate(rotation)) await annotate('skip-gate', command);
      }
      assert.equal(rotation, undefined, JSON.stringify(rotation));
      assert.notEqual(activeRoot?.fingerprint, before);
    },
    { timeoutMs: 120_000, message: 'the rotation does not end' },
  );
  return said;
}

/** An administrator gives the honest ones the time that they need: all but the hostile ones are done. */
const isLate = (rotation: NonNullable<Authority['status']>['rotation']): boolean =>
  (rotation?.blockers ?? []).every((blocker) => !blocker.includes(honest.namespace) && !/ until \d{4}-/.test(blocker));

describe('A tenant in the way of a rotation of the root', () => {
  test('that changes one object after another, each once, is named while pods load the certificates', async (t) => {
    const names = Array.from({ length: 6 }, (_, i) => `one-of-many-${i}`);
    for (const name of names) await hostileToo.create(name, { ...spec, server: { service: name } });
    for (const name of names) await hostileToo.ready(name);
    const before = (await status()).activeRoot?.fingerprint ?? '';
    const isOver = new AbortController();
    const attack = (async () => {
      while (!isOver.signal.aborted && names.length > 0) {
        if ((await status()).rotation?.phase === 'Draining') {
          await hostileToo.patchSecret(`${names.shift()}-server-tls`, { data: { 'ca.crt': 'AAAA' } });
        }
        await delay(2000, undefined, { signal: isOver.signal }).catch(() => undefined);
      }
    })();
    const said = [...(await rotate(t, before))];
    isOver.abort();
    await attack;
    const named = said.filter((blocker) =>
      blocker.includes(`to stay as they are: ${hostileToo.namespace}/one-of-many-`),
    );
    assert.ok(named.length > 0, said.join('\n'));
    assert.ok(names.length > 0, 'the rotation ended when nothing was left to change');
  });

  test('is named with the reason, can be skipped by namespace, and holds up nobody else', async (t) => {
    const before = (await status()).activeRoot?.fingerprint ?? '';
    for (const [title, attack] of Object.entries(attacks)) {
      t.diagnostic(title);
      await attack();
    }
    // What others do to it again and again is told before anybody rotates anything.
    await hostile.notReady('db', 'SecretContested');
    await eventually(async () => {
      const said = (await status()).conditions?.find(({ type }) => type === 'TrustPublished');
      assert.deepEqual(
        [said?.status, said?.reason],
        ['False', 'TrustContested'],
        said?.message ?? 'there is no condition',
      );
      assert.match(
        said?.message ?? '',
        new RegExp(`keeps changing ConfigMap \\S+ in 1 of 3 namespaces: ${hostile.namespace} `),
      );
    });
    const said = [...(await rotate(t, before))];

    const skips = said.filter((blocker) => blocker.includes('skip-gate='));
    for (const { namespace } of [hostile, hostileToo]) {
      assert.ok(
        skips.some((blocker) => blocker.includes(`/${namespace}`)),
        `${namespace} is not named`,
      );
    }
    // The honest tenant is there for as long as it is not done itself, and the whole phase is never to be skipped.
    assert.deepEqual(
      said.filter((blocker) => / to skip the phase/.test(blocker)),
      [],
    );
    const foreign = said.filter((blocker) => /\/(copy|former)\b/.test(blocker));
    assert.deepEqual(foreign, [], 'objects that no resource can own are waited for');
    assert.ok(
      said.some((blocker) =>
        blocker.includes(`${hostileToo.namespace}/${secretName} (being deleted, but a finalizer holds it)`),
      ),
      'the immutable Secret is named with its reason',
    );
    const { activeRoot } = await status();
    await honest.ready('db');
    assert.deepEqual((await judge(await honest.secret(secretName))).roots, [activeRoot?.fingerprint ?? '']);
  });
});
