import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AuthorityViews } from '../../../src/controllers/authority-views.ts';
import { Caches } from '../../../src/controllers/caches.ts';
import { Publications } from '../../../src/controllers/publications.ts';
import { inConfigMap } from '../../../src/controllers/trust-objects.ts';
import type { ConfigMap } from '../../../src/kube/index.ts';
import { sha256Hex } from '../../../src/pki/index.ts';
import type { TrustOutcome } from '../../../src/plan/index.ts';
import { authority } from '../../support/fixtures.ts';
import { type Exchange, serve } from '../kube/fault-server.ts';

const publisher = authority({
  spec: { ...authority().spec, trustBundle: { configMap: { name: 'trust' }, clusterTrustBundle: true } },
});
const signal = new AbortController().signal;
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
const configMap = (namespace: string, pem: string, name = 'trust'): ConfigMap => ({
  metadata: { namespace, name, uid: `${namespace}/${name}`, resourceVersion: '3', ownerReferences },
  data: { 'ca.crt': pem },
});
const namespace = (name: string, more: object = {}) => ({
  metadata: { name, uid: name, resourceVersion: '1', ...more },
});

async function publications(t: TestContext, answer: (exchange: Exchange) => void, foreign: readonly string[] = []) {
  const server = await serve(t, answer);
  const caches = new Caches();
  const outcome = (_: string, place: string, wanted: string): TrustOutcome | undefined =>
    foreign.includes(place) ? { wanted, state: 'foreign' } : undefined;
  const made = new Publications(caches, server.client(), new AuthorityViews(), { outcome });
  return { server, caches, publications: made };
}

/** An API server with these objects, two on a page. */
const holding =
  (objects: Readonly<Record<string, readonly unknown[] | undefined>>) =>
  ({ path, query, json, status }: Exchange): void => {
    const all = objects[path.split('/').at(-1) ?? ''];
    if (all === undefined) return status(404, 'NotFound');
    const from = Number(query.get('continue') ?? 0);
    const next = from + 2 < all.length ? String(from + 2) : undefined;
    json(200, { metadata: { resourceVersion: '9', continue: next }, items: all.slice(from, from + 2) });
  };

test('the API server is asked for all there is, page by page', async (t) => {
  const { publications: made, server } = await publications(
    t,
    holding({
      namespaces: [
        namespace('a'),
        namespace('b'),
        namespace('c'),
        namespace('theirs'),
        namespace('going', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
      ],
      configmaps: [
        configMap('a', 'new'),
        configMap('b', 'old'),
        configMap('b', 'older', 'former'),
        configMap('going', 'old'),
        { ...configMap('other', 'old'), metadata: { ...configMap('other', 'old').metadata, ownerReferences: [] } },
      ],
      clustertrustbundles: [
        {
          metadata: { name: bundleName, uid: 'u', resourceVersion: '4', ownerReferences },
          spec: { trustBundle: 'new' },
        },
      ],
    }),
    ['theirs'],
  );
  assert.deepEqual(await made.live(publisher, signal), [
    { what: 'ConfigMap a/trust', bundle: sha256Hex('new') },
    { what: 'ConfigMap b/trust', bundle: sha256Hex('old') },
    { what: 'ConfigMap b/former', bundle: sha256Hex('older') },
    { what: 'ConfigMap c/trust' },
    { what: `ClusterTrustBundle ${bundleName}`, bundle: sha256Hex('new') },
  ]);
  assert.equal(server.exchanges.length, 3 + 3 + 1);
});

test('a cluster without ClusterTrustBundles is not waited for', async (t) => {
  const { publications: made } = await publications(t, holding({ namespaces: [namespace('a')], configmaps: [] }));
  assert.deepEqual(await made.live(publisher, signal), [{ what: 'ConfigMap a/trust' }]);
});

test('nothing is asked for an authority that publishes nothing', async (t) => {
  const { publications: made, server } = await publications(t, holding({}));
  assert.deepEqual(await made.live(authority(), signal), []);
  assert.deepEqual([made.cached(authority()), made.conditions(authority())], [[], []]);
  assert.equal(server.exchanges.length, 0);
});

test('the caches say the same without a request', async (t) => {
  const { publications: made, caches, server } = await publications(t, holding({}), ['theirs']);
  for (const name of ['a', 'b', 'theirs']) {
    caches.namespaces.observe({ name, resourceVersion: '1', labels: {}, terminating: false });
  }
  for (const object of [configMap('a', 'new'), configMap('b', 'old', 'former')]) {
    caches.configMaps.observe(inConfigMap.toRecord(object));
  }
  assert.deepEqual(made.cached(publisher), [
    { what: 'ConfigMap a/trust', bundle: sha256Hex('new') },
    { what: 'ConfigMap b/trust' },
    { what: 'ConfigMap b/former', bundle: sha256Hex('old') },
    // Whether there are any is not known yet.
    { what: `ClusterTrustBundle ${bundleName}` },
  ]);
  assert.equal(server.exchanges.length, 0);
});
