import assert from 'node:assert/strict';
import { describe, mock, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { type CacheSources, keepCaches } from '../../../../src/controllers/cache/keep-caches.ts';
import { authorities, authorityRecord, certificates } from '../../../../src/controllers/objects/resources.ts';
import {
  inClusterTrustBundle,
  inConfigMap,
  type TrustKind,
} from '../../../../src/controllers/objects/trust-objects.ts';
import {
  type KubeObject,
  keyOf,
  type MergePatch,
  namespaces,
  type ObjectRef,
  type Resource,
  secrets,
  silentLog,
} from '../../../../src/kube/index.ts';
import { isExamined, ownerReference } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { withMetadata } from '../../../support/fixtures/secret.ts';
import { trustContent } from '../../../support/fixtures/trust.ts';
import { MemoryApi } from '../world/memory-api.ts';
import { MemoryClient } from '../world/memory-client.ts';

const signer = root();
const publisher = authority();

/** Starts the caches of a process, whose clock is at 100 ms. The request `held` waits until its promise resolves. */
function begin(t: TestContext, api: MemoryApi, held?: { readonly request: string; readonly until: Promise<void> }) {
  const memory = new MemoryClient(api);
  const clock = { ms: 100 };
  const requests: string[] = [];
  memory.onRequest = async (request, moment) => {
    if (moment === 'before') requests.push(request);
    if (moment === 'before' && request === held?.request) await held.until;
  };
  let roots = [root({ name: 'Unknown' }).certificate];
  const caches = new Caches(
    () => roots,
    () => clock.ms,
  );
  const stop = new AbortController();
  const filled = Promise.withResolvers<void>();
  const sources: CacheSources = {
    client: memory.client,
    namespace: 'mtls-operator',
    log: silentLog,
    onError: () => {},
    onListed: () => {},
  };
  const refreshRoots = async () => {
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    requests.push('the roots are read');
    roots = [signer.certificate];
  };
  const haveFilled = () => {
    requests.push('the caches are filled');
    filled.resolve();
  };
  const kept = keepCaches(caches, sources, stop.signal, { afterRoots: refreshRoots, afterAll: haveFilled });
  t.after(() => {
    stop.abort();
    return kept;
  });
  return { memory, caches, clock, requests, filled: filled.promise };
}

/** The same, after the caches are filled. */
async function process(t: TestContext, api: MemoryApi) {
  const made = begin(t, api);
  await made.filled;
  await made.memory.settled();
  return made;
}

type Process = Awaited<ReturnType<typeof process>>;

/** A kind whose objects have a change time. */
interface Kind {
  readonly resource: Resource<KubeObject>;
  readonly ref: ObjectRef;
  readonly create: (api: MemoryApi) => Promise<unknown>;
  readonly patch: (api: MemoryApi, patch: object) => Promise<unknown>;
  readonly remove: (api: MemoryApi) => Promise<unknown>;
  /** A patch that changes the bundle in the object. */
  readonly otherBundle: (text: string) => object;
  readonly changedAtMs: (caches: Caches) => number | undefined;
}

const ownerIn = async (api: MemoryApi) => authorityRecord(await api.get(authorities, { name: 'default' }));

const issued = certificate().issuedBy(signer);
const secretRef = { namespace: 'shop', name: 'payments-server-tls' };

const published = <T extends KubeObject>(
  kind: TrustKind<T>,
  ref: ObjectRef,
  store: (caches: Caches) => Caches['configMaps']['store'],
): Kind => {
  return {
    resource: kind.resource,
    ref,
    create: async (api) => {
      const owner = await ownerIn(api);
      const metadata = {
        ...ref,
        ownerReferences: [ownerReference('MtlsAuthority', owner)],
      };
      return api.create(kind.resource, kind.create(metadata, trustContent('first')));
    },
    patch: (api, patch) => api.byHand(() => api.mergePatch(kind.resource, ref, patch as MergePatch<T>)),
    remove: (api) => api.byHand(() => api.delete(kind.resource, ref)),
    otherBundle: (bundle) => kind.change({ resourceVersion: undefined } as never, trustContent(bundle)),
    changedAtMs: (caches) => store(caches).get(keyOf(ref))?.changedAtMs,
  };
};

const kinds: Readonly<Record<string, Kind>> = {
  'a Secret': {
    resource: secrets,
    ref: secretRef,
    create: async (api) => {
      const { spec } = issued.record;
      const metadata = { namespace: 'shop', name: 'payments' };
      const owner = await api.create(certificates, { metadata, spec } as never);
      const ownerReferences = [ownerReference('MtlsCertificate', { name: 'payments', uid: owner.metadata.uid ?? '' })];
      return api.create(secrets, withMetadata(() => ({ ownerReferences }))(issued.secret('server')));
    },
    patch: (api, patch) => api.byHand(() => api.mergePatch(secrets, secretRef, patch)),
    remove: (api) => api.byHand(() => api.delete(secrets, secretRef)),
    otherBundle: (text) => ({ data: { 'ca.crt': Buffer.from(text).toString('base64') } }),
    changedAtMs: (caches) => caches.secrets.get(keyOf(secretRef))?.changedAtMs,
  },
  'a ConfigMap': published(inConfigMap, { namespace: 'shop', name: 'trust' }, ({ configMaps }) => configMaps.store),
  'a ClusterTrustBundle': published(
    inClusterTrustBundle,
    { name: 'mtls-operator.io:default:roots' },
    ({ clusterTrustBundles }) => clusterTrustBundles.store,
  ),
};

/** An API server with a namespace and an authority. */
async function server(): Promise<MemoryApi> {
  const api = new MemoryApi();
  await api.create(namespaces, { metadata: { name: 'shop' } });
  await api.create(authorities, { metadata: { name: 'default' }, spec: publisher.spec } as never);
  return api;
}

const unrelated = { metadata: { annotations: { note: 'x' } } };

// If one fails: after a restart or a fail-over, a rotation continues before pods have loaded the new content.
for (const [title, kind] of Object.entries(kinds)) {
  describe(`${title} in the caches counts`, () => {
    const at = (clockMs: number, made: Process) => {
      made.clock.ms = clockMs;
    };
    const remake = async (api: MemoryApi) => {
      const there = (api.all(kind.resource.plural) as KubeObject[]).find(
        ({ metadata }) => keyOf(metadata) === keyOf(kind.ref),
      );
      await kind.remove(api);
      await api.create(kind.resource, there as never);
    };

    /** A process that started when the object already existed. */
    const begun = async (t: TestContext) => {
      const api = await server();
      await kind.create(api);
      return { api, made: await process(t, api) };
    };

    test('from the first read of the process, if it existed before', async (t) => {
      const { made } = await begun(t);
      assert.equal(kind.changedAtMs(made.caches), 100);
    });

    test('from its watch event', async (t) => {
      const api = await server();
      const made = await process(t, api);
      at(200, made);
      await kind.create(api);
      at(300, made);
      assert.equal(kind.changedAtMs(made.caches), undefined);
      await made.memory.deliver();
      assert.equal(kind.changedAtMs(made.caches), 300);
    });

    test('from the watch event with its last bundle, not with its last change', async (t) => {
      const { api, made } = await begun(t);
      at(200, made);
      await kind.patch(api, kind.otherBundle('second'));
      await made.memory.deliver();
      assert.equal(kind.changedAtMs(made.caches), 200);
      at(300, made);
      await kind.patch(api, unrelated);
      await made.memory.deliver();
      assert.equal(kind.changedAtMs(made.caches), 200);
    });

    test('from the change back to an earlier bundle', async (t) => {
      const { api, made } = await begun(t);
      for (const [clockMs, text] of [
        [200, 'second'],
        [300, 'first'],
      ] as const) {
        at(clockMs, made);
        await kind.patch(api, kind.otherBundle(text));
        await made.memory.deliver();
      }
      assert.equal(kind.changedAtMs(made.caches), 300);
    });

    test('from its watch event when it was deleted and created again', async (t) => {
      const { api, made } = await begun(t);
      at(200, made);
      await remake(api);
      await made.memory.deliver();
      assert.equal(kind.changedAtMs(made.caches), 200);
    });

    test('from the new list if it changed while the watch was lost, otherwise as before', async (t) => {
      const { api, made } = await begun(t);
      let before = 100;
      for (const [clockMs, change, since] of [
        [200, () => kind.patch(api, unrelated), 100],
        [300, () => kind.patch(api, kind.otherBundle('second')), 300],
        [400, () => remake(api), 400],
      ] as const) {
        // The Reflector pauses before it lists again.
        mock.timers.enable({ apis: ['setTimeout'] });
        t.after(() => mock.timers.reset());
        at(clockMs, made);
        await change();
        await made.memory.cut(kind.resource.plural, true);
        assert.equal(kind.changedAtMs(made.caches), before);
        mock.timers.tick(1000);
        await made.memory.settled();
        mock.timers.reset();
        assert.equal(kind.changedAtMs(made.caches), since);
        before = since;
      }
    });

    test('from the start of a replica that takes over, independently of other replicas', async (t) => {
      const api = await server();
      const before = await process(t, api);
      await kind.create(api);
      await before.memory.deliver();
      const heir = await process(t, api);
      assert.equal(kind.changedAtMs(heir.caches), 100);
    });
  });
}

test('the first bundle of a namespace that is newer than the process needs no wait', async (t) => {
  const api = await server();
  const made = await process(t, api);
  const { store } = made.caches.configMaps;
  made.clock.ms = 200;
  await api.create(namespaces, { metadata: { name: 'later' } });
  const owner = await ownerIn(api);
  const metadata = { ownerReferences: [ownerReference('MtlsAuthority', owner)] };
  const create = (namespace: string) =>
    api.create(inConfigMap.resource, inConfigMap.create({ ...metadata, namespace, name: 'trust' }, trustContent('x')));
  await create('later');
  await create('shop');
  await made.memory.deliver();
  assert.deepEqual(
    [store.get('later/trust')?.changedAtMs, store.get('shop/trust')?.changedAtMs],
    [Number.NEGATIVE_INFINITY, 200],
  );
  // Deleting a namespace deletes the pods that mounted the bundle. A namespace that is created again counts as new.
  await api.byHand(() => api.delete(inConfigMap.resource, { namespace: 'shop', name: 'trust' }));
  await made.memory.deliver();
  await api.byHand(() => api.delete(namespaces, { name: 'shop' }));
  await made.memory.deliver();
  await create('shop');
  await made.memory.deliver();
  assert.equal(store.get('shop/trust')?.changedAtMs, Number.NEGATIVE_INFINITY);
});

test('a Secret that no resource owns counts from its last revision', async (t) => {
  const api = await server();
  const ref = { namespace: 'shop', name: 'copy' };
  await api.create(secrets, withMetadata(() => ({ ...ref, ownerReferences: [] }))(issued.secret('server')));
  const { memory, caches, clock } = await process(t, api);
  const since = () => caches.secrets.get(keyOf(ref))?.changedAtMs;
  assert.equal(since(), 100);
  clock.ms = 200;
  await api.byHand(() => api.mergePatch(secrets, ref, unrelated));
  await memory.deliver();
  assert.equal(since(), 200);
});

test('a Secret counts from the change to a certificate of another root', async (t) => {
  const api = await server();
  const kind = kinds['a Secret'];
  await kind?.create(api);
  const { memory, caches, clock } = await process(t, api);
  clock.ms = 200;
  const { data } = certificate()
    .issuedBy(root({ name: 'Other' }))
    .secret('server');
  await kind?.patch(api, { data: { ...data, 'ca.crt': issued.secret('server').data?.['ca.crt'] } });
  await memory.deliver();
  assert.equal(kind?.changedAtMs(caches), 200);
});

describe('the caches are filled', () => {
  const before = (requests: readonly string[], event: string) => requests.slice(0, requests.indexOf(event));

  test('in an order in which a leaf can be verified when it is read', async (t) => {
    const api = await server();
    for (const kind of Object.values(kinds)) await kind.create(api);
    const { caches, requests } = await process(t, api);
    const record = caches.secrets.get(keyOf(secretRef));
    assert.ok(record !== undefined && isExamined(record) && 'leaf' in record.content);
    assert.notEqual(record.content.leaf.root, undefined, 'the root that signed it is known');
    const first = ['mtlsauthorities', 'secrets in mtls-operator', 'namespaces'].map((what) => `list ${what}`);
    assert.deepEqual(
      new Set(before(requests, 'the roots are read').filter((one) => one.startsWith('list '))),
      new Set(first),
    );
  });

  const rooted = 'the roots are read';
  const filled = 'the caches are filled';
  const waits: readonly [request: string, event: string][] = [
    ['list mtlsauthorities', rooted],
    ['list secrets in mtls-operator', rooted],
    ['list namespaces', rooted],
    ['stream mtlscertificates', filled],
    ['list configmaps by label', filled],
    ['list clustertrustbundles by label', filled],
    ['stream secrets by label', filled],
  ];
  for (const [request, event] of waits) {
    test(`and ${event} only after the API server has answered: ${request}`, async (t) => {
      const { promise: until, resolve } = Promise.withResolvers<void>();
      t.after(() => resolve());
      const made = begin(t, await server(), { request, until });
      // No key has to be verified: everything that can happen happens in these turns.
      for (let turn = 0; turn < 50; turn += 1) await setImmediate();
      assert.ok(made.requests.includes(request));
      assert.ok(!made.requests.includes(event));
      resolve();
      await made.filled;
      assert.ok(made.requests.includes(event));
    });
  }

  test('without ClusterTrustBundles if the API server does not serve them', async (t) => {
    const api = await server();
    assert.equal((await process(t, api)).caches.servesClusterTrustBundles, true);
    const made = begin(t, api);
    made.memory.unserved.add('clustertrustbundles');
    await made.filled;
    assert.equal(made.caches.servesClusterTrustBundles, false);
  });
});

describe('deleted objects leave the caches, and a bundle counts as lost', () => {
  const lost = async (t: TestContext) => {
    const api = await server();
    for (const kind of Object.values(kinds)) await kind.create(api);
    const { memory, caches } = await process(t, api);
    for (const kind of Object.values(kinds)) await kind.remove(api);
    await memory.deliver();
    for (const kind of Object.values(kinds)) assert.equal(kind.changedAtMs(caches), undefined);
    const { uid } = await ownerIn(api);
    const isLost = () => [
      caches.configMaps.isLost(uid, 'shop', 'trust'),
      caches.clusterTrustBundles.isLost(uid, '', 'mtls-operator.io:default:roots'),
    ];
    assert.deepEqual(isLost(), [true, true], 'pods still have it');
    return { api, memory, isLost };
  };

  test('until its namespace is deleted', async (t) => {
    const { api, memory, isLost } = await lost(t);
    await api.byHand(() => api.delete(namespaces, { name: 'shop' }));
    await memory.deliver();
    assert.deepEqual(isLost(), [false, true]);
  });

  test('until its authority is deleted', async (t) => {
    const { api, memory, isLost } = await lost(t);
    await api.byHand(() => api.delete(authorities, { name: 'default' }));
    await memory.deliver();
    assert.deepEqual(isLost(), [false, false]);
  });
});
