import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { TrustCache } from '../../../../src/controllers/cache/trust-cache.ts';
import { inConfigMap } from '../../../../src/controllers/objects/trust-objects.ts';
import { TrustPublications } from '../../../../src/controllers/trust/trust-publications.ts';
import type { ConfigMap } from '../../../../src/kube/index.ts';
import { sha256Hex } from '../../../../src/pki/index.ts';
import type { TrustOutcome } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { type Exchange, serve } from '../../kube/api/fault-server.ts';

const publisher = authority({
  spec: { ...authority().spec, trustBundle: { configMap: { name: 'trust' }, clusterTrustBundle: true } },
});
const bundleName = 'mtls-operator.io:default:roots';

const ownerReferences = [
  {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsAuthority',
    name: 'default',
    uid: 'authority-uid',
    controller: true,
  },
];
const configMap = (namespace: string, pem: string, name = 'trust', resourceVersion = '3'): ConfigMap => ({
  metadata: { namespace, name, uid: `${namespace}/${name}`, resourceVersion, ownerReferences },
  data: { 'ca.crt': pem },
});
/** With these namespaces, at 50 ms of the monotonic clock. In the namespaces of `foreign`, another owner has the name. */
async function publications(
  t: TestContext,
  answer: (exchange: Exchange) => void,
  namespaces: readonly string[],
  foreign: readonly string[] = [],
  watched?: readonly string[],
) {
  const server = await serve(t, answer);
  const caches = new Caches(
    () => [],
    () => 50,
    watched,
  );
  for (const name of namespaces) {
    caches.namespaces.observe({ name, resourceVersion: '1', labels: {}, terminating: false });
  }
  const outcome = (_: string, ns: string, desiredName: string): TrustOutcome | undefined =>
    foreign.includes(ns) ? { desiredName, state: 'foreign' } : undefined;
  const made = new TrustPublications(server.client(), caches, new AuthorityStates(), { outcome });
  const take = (object: ConfigMap) =>
    caches.configMaps.store.observe(caches.configMaps.withChangeTime(inConfigMap.toRecord(object)));
  return { server, caches, publications: made, take };
}

const of = (uid: string, namespace: string): ConfigMap['metadata'] => ({
  ...configMap(namespace, '').metadata,
  name: 'of-others',
  ownerReferences: ownerReferences.map((reference) => ({ ...reference, uid })),
});

/** An API server with these objects, two on each page. */
const holding =
  (objects: Readonly<Record<string, readonly ConfigMap[] | undefined>>) =>
  ({ path, query, json, status }: Exchange): void => {
    const [, namespace, plural = '', name] = /^.api.v1.namespaces.(.*)\/(.*)\/(.*)$/.exec(path) ?? [];
    const one = objects[plural]?.find((object) =>
      isDeepStrictEqual([object.metadata.namespace, object.metadata.name], [namespace, name]),
    );
    if (one !== undefined) return json(200, one);
    const all = objects[path.split('/').at(-1) ?? ''];
    if (all === undefined) return status(404, 'NotFound');
    const from = Number(query.get('continue') ?? 0);
    const next = from + 2 < all.length ? String(from + 2) : undefined;
    json(200, { metadata: { resourceVersion: '9', continue: next }, items: all.slice(from, from + 2) });
  };

test('publications come from the caches, without a request', async (t) => {
  const { publications: made, take, server } = await publications(t, holding({}), ['a', 'b', 'theirs'], ['theirs']);
  for (const object of [configMap('a', 'new'), configMap('b', 'old', 'former')]) take(object);
  assert.deepEqual(made.of(publisher), [
    { namespace: 'a', displayName: 'ConfigMap a/trust', bundle: sha256Hex('new'), changedAtMs: 50 },
    { namespace: 'b', displayName: 'ConfigMap b/trust', changedAtMs: Infinity },
    { namespace: 'b', displayName: 'ConfigMap b/former', bundle: sha256Hex('old'), changedAtMs: 50 },
    // It is not known yet whether the API server serves ClusterTrustBundles.
    {
      namespace: '',
      displayName: `ClusterTrustBundle ${bundleName}`,
      changedAtMs: Infinity,
      isClusterTrustBundle: true,
    },
  ]);
  assert.deepEqual([made.of(authority()), made.conditions(authority())], [[], []]);
  assert.equal(server.exchanges.length, 0);
});

test('an operator that watches some namespaces reads the objects in those that it may read', async (t) => {
  const configmaps = [configMap('a', 'new')];
  const made = await publications(t, holding({ configmaps }), ['a', 'b'], [], ['a', 'b']);
  made.caches.watched.note('configmaps', 'a', true);
  made.caches.watched.note('configmaps', 'b', false);
  await made.publications.renew(publisher, new AbortController().signal);
  assert.deepEqual(
    made.server.exchanges.map(({ path }) => path),
    ['/api/v1/namespaces/a/configmaps', '/api/v1/namespaces/a/configmaps/trust'],
  );
});

test('newer objects of the API server go into the caches, page by page', async (t) => {
  const forged = [
    configMap('c', 'x', 'forged'),
    { ...configMap('a', 'x', 'of-others'), metadata: of('others-uid', 'a') },
  ];
  const configmaps = [configMap('a', 'new'), configMap('b', 'new'), configMap('c', 'old'), ...forged];
  const { publications: made, take, server } = await publications(t, holding({ configmaps }), ['a', 'b', 'c']);
  take(configMap('a', 'older', 'trust', '2'));
  take(configMap('b', 'newest', 'trust', '4'));
  await made.renew(publisher, new AbortController().signal);
  assert.deepEqual(made.of(publisher).slice(0, 3), [
    { namespace: 'a', displayName: 'ConfigMap a/trust', bundle: sha256Hex('new'), changedAtMs: 50 },
    { namespace: 'b', displayName: 'ConfigMap b/trust', bundle: sha256Hex('newest'), changedAtMs: 50 },
    { namespace: 'c', displayName: 'ConfigMap c/trust', bundle: sha256Hex('old'), changedAtMs: 50 },
  ]);
  // Three pages of metadata, and the content of newer objects that can belong to the authority. No request for a kind that
  // may not be served.
  const [lists, gets] = [true, false].map((isList) =>
    server.exchanges.filter(({ headers: { accept = '' } }) => accept.includes('PartialObjectMetadataList') === isList),
  );
  assert.deepEqual(
    lists?.map(({ path }) => path),
    Array(3).fill('/api/v1/configmaps'),
  );
  assert.deepEqual(
    gets?.map(({ path }) => path),
    ['/api/v1/namespaces/a/configmaps/trust', '/api/v1/namespaces/c/configmaps/trust'],
  );
});

const bundleRecord = (namespace: string, pem: string, resourceVersion: string, uid = 'u') => {
  const record = inConfigMap.toRecord(configMap(namespace, pem, 'trust', resourceVersion));
  return { ...record, uid };
};

test('a bundle counts from its last change, and the first one of a new namespace needs no wait', () => {
  let clock = 10;
  const cache = new TrustCache(() => clock);
  const take = (namespace: string, pem: string, version: string, uid?: string): number => {
    const record = cache.withChangeTime(bundleRecord(namespace, pem, version, uid));
    cache.store.observe(record);
    return record.changedAtMs;
  };
  assert.equal(
    take('listed', 'a', '1'),
    10,
    'an object that is older than this process counts from the start of the process',
  );
  cache.noteNamespaces(['listed', 'empty']);
  clock = 20;
  assert.equal(take('listed', 'a', '2'), 10, 'another annotation is not another bundle');
  assert.equal(take('listed', 'b', '3'), 20);
  assert.equal(take('empty', 'a', '4'), 20, 'an earlier one may have existed before this process');
  assert.equal(take('new', 'a', '5'), -Infinity);
  assert.equal(take('new', 'b', '6'), 20, 'the second bundle of a namespace has to reach the pods that have the first');
  cache.store.observeDeleted({ namespace: 'new', name: 'trust' }, '7');
  assert.equal(take('new', 'c', '8', 'v'), 20, 'pods still mount the deleted one');
  cache.store.observeDeleted({ namespace: 'new', name: 'trust' }, '9');
  cache.forget('new');
  assert.equal(take('new', 'c', '10', 'w'), -Infinity, 'a new namespace of the same name is another one');
});

test('an object is lost from its deletion until it is created again, or its namespace or authority is deleted', () => {
  const cache = new TrustCache(() => 10);
  let version = 0;
  const take = () => cache.store.observe(cache.withChangeTime(bundleRecord('shop', 'a', `${++version}`)));
  const remove = () => cache.store.observeDeleted({ namespace: 'shop', name: 'trust' }, `${++version}`);
  const owner = bundleRecord('shop', 'a', '1').owner ?? '';
  const isLost = () => cache.isLost(owner, 'shop', 'trust');
  assert.equal(isLost(), false, 'it never existed');
  take();
  assert.equal(isLost(), false);
  remove();
  assert.deepEqual([isLost(), cache.isLost('another', 'shop', 'trust')], [true, false]);
  take();
  assert.equal(isLost(), false);
  remove();
  cache.forget('sho');
  assert.equal(isLost(), true);
  cache.forget('shop');
  assert.equal(isLost(), false);
  take();
  remove();
  cache.forgetOwner(owner);
  assert.equal(isLost(), false);
});

test('the record of an object that no authority controls has only its name, and no long ownerReference', () => {
  const data = { 'ca.crt': 'x'.repeat(1_000_000), 'ca.crl': 'y' };
  const labels = { 'app.kubernetes.io/managed-by': 'mtls-operator', 'mtls-operator.io/authority': 'default' };
  const change = (reference: object) => ownerReferences.map((one) => ({ ...one, ...reference }));
  for (const owners of [
    undefined,
    change({ kind: 'Widget' }),
    change({ uid: data['ca.crt'] }),
    change({ name: data['ca.crt'] }),
  ]) {
    const metadata = { ...configMap('shop', '').metadata, labels, ownerReferences: owners };
    const { owner, bundle, crl, ...kept } = inConfigMap.toRecord({ metadata, data });
    assert.deepEqual([owner, bundle, crl], [undefined, undefined, undefined]);
    assert.ok(JSON.stringify(kept).length < 400);
  }
});

test('the memory of deleted objects is bounded in each namespace', () => {
  const cache = new TrustCache(() => 10);
  let version = 0;
  const createAndDelete = (namespace: string, name: string) => {
    const record = inConfigMap.toRecord(configMap(namespace, 'a', name, `${++version}`));
    cache.store.observe(cache.withChangeTime(record));
    cache.store.observeDeleted({ namespace, name }, `${++version}`);
  };
  createAndDelete('shop', 'trust');
  for (let i = 0; i < 1000; i += 1) createAndDelete('loud', `forged-${i}`);
  const isLost = (namespace: string, name: string) => cache.isLost('authority-uid', namespace, name);
  assert.deepEqual(
    [isLost('loud', 'forged-0'), isLost('loud', 'forged-999'), isLost('shop', 'trust')],
    [false, true, true],
  );
});
