import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { inClusterTrustBundle, inConfigMap } from '../../../../src/controllers/objects/trust-objects.ts';
import { TrustReconciler } from '../../../../src/controllers/trust/trust-reconciler.ts';
import { TrustWriter } from '../../../../src/controllers/trust/trust-writer.ts';
import { type ConfigMap, isKubeError, silentLog } from '../../../../src/kube/index.ts';
import { trustBundle } from '../../../../src/pki/index.ts';
import type { TrustOutcome } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { later, now } from '../../../support/fixtures/times.ts';
import { type Exchange, type FaultServer, serve } from '../../kube/api/fault-server.ts';

const signer = root();
const otherSigner = root();
const bundle = trustBundle(signer.certificate, []);
const owner = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority', name: 'default', uid: 'authority-uid' };
const publisher = authority({
  spec: { ...authority().spec, trustBundle: { configMap: { name: 'trust' }, clusterTrustBundle: true } },
});

/** The ConfigMap as the operator writes it. */
const configMap = (resourceVersion: string, pem = bundle.pem): ConfigMap => ({
  metadata: {
    namespace: 'shop',
    name: 'trust',
    uid: 'object-uid',
    resourceVersion,
    labels: { 'app.kubernetes.io/managed-by': 'mtls-operator', 'mtls-operator.io/authority': 'default' },
    ownerReferences: [{ ...owner, controller: true }],
  },
  data: { 'ca.crt': pem },
});
const theirs: ConfigMap = { metadata: { ...configMap('3').metadata, ownerReferences: [] } };

let version = 100;
const nextVersion = (): string => String(++version);

/** The metadata of the ConfigMap after another client has edited it. */
const editedBy = (manager: string) => ({
  metadata: {
    ...configMap('9').metadata,
    managedFields: [
      { manager, operation: 'Update', time: '2026-03-01T12:00:00Z', fieldsV1: { 'f:data': { 'f:ca.crt': {} } } },
    ],
  },
});

interface Scene {
  readonly server: FaultServer;
  readonly trust: TrustReconciler;
  /** The authorities whose status was to be reconciled, in order. */
  readonly reported: readonly string[];
  /** The methods of the requests so far. */
  readonly methods: () => string[];
  at: Date;
  /** Begins another term of the leader. */
  readonly beginTerm: () => void;
  readonly outcome: () => TrustOutcome | undefined;
  /** Changes the bundle in the ConfigMap as another client. */
  readonly change: (pem: string) => void;
  /** Another client has written the ConfigMap. */
  readonly observe: (written: ConfigMap) => void;
  /** Another root signs. The requested bundle is then `pem()`. */
  readonly rotate: () => void;
  readonly pem: () => string;
  readonly reconcile: (namespace?: string) => Promise<{ requeueAt: Date } | undefined>;
}

/** A namespace `shop`, and a cache with this ConfigMap. */
async function scene(
  t: TestContext,
  cached: ConfigMap | undefined,
  answer: (exchange: Exchange) => void,
  { isClosed = false, of = publisher } = {},
): Promise<Scene> {
  const server = await serve(t, answer);
  const client = server.client();
  const caches = new Caches(() => [], undefined, isClosed ? ['shop'] : undefined);
  if (isClosed) caches.watched.note('configmaps', 'shop', false);
  const authorityStates = new AuthorityStates();
  const reported: string[] = [];
  let published = bundle;
  caches.authorities.observe(of);
  caches.namespaces.observe({ name: 'shop', resourceVersion: '1', labels: {}, terminating: false });
  if (cached !== undefined) caches.configMaps.store.observe(inConfigMap.toRecord(cached));
  authorityStates.set(of, { state: 'ready', issuer: signer, bundle, acceptedBundleDigests: [] });
  const { authorities } = caches;
  const newTerm = () =>
    new TrustReconciler({
      authorities,
      namespace: (name) => caches.namespace(name),
      holdsBundle: ({ uid }, namespace) => caches.configMaps.holdsBundle(uid, namespace),
      authorityStates,
      configMaps: new TrustWriter(client, inConfigMap, caches.configMaps, silentLog),
      clusterTrustBundles: new TrustWriter(client, inClusterTrustBundle, caches.clusterTrustBundles, silentLog),
      servesClusterTrustBundles: () => false,
      onOutcome: (name) => reported.push(name),
      now: () => made.at,
      monotonicMs: () => made.at.getTime(),
    });
  let trust = newTerm();
  const made: Scene = {
    server,
    get trust() {
      return trust;
    },
    beginTerm() {
      trust = newTerm();
    },
    reported,
    at: now,
    methods: () => server.exchanges.map(({ method }) => method),
    outcome: () => trust.outcome('default', 'shop', 'trust'),
    change: (pem) => made.observe(configMap(nextVersion(), pem)),
    observe: (written) => caches.configMaps.store.observe(inConfigMap.toRecord(written)),
    rotate() {
      published = trustBundle(otherSigner.certificate, []);
      authorityStates.set(of, {
        state: 'ready',
        issuer: otherSigner,
        bundle: published,
        acceptedBundleDigests: [],
      });
    },
    pem: () => published.pem,
    reconcile: (namespace = 'shop') =>
      trust.reconcile(`default/${namespace}`, { signal: new AbortController().signal }),
  };
  return made;
}

const unexpected = ({ status }: Exchange): void => status(500, 'Unexpected');

/** Another client keeps changing the ConfigMap until its repair is delayed. */
async function contest(fixture: Scene): Promise<void> {
  await fixture.reconcile();
  for (let repair = 1; repair <= 4; repair += 1) {
    fixture.at = later(repair * 1000);
    fixture.change('theirs');
    await fixture.reconcile();
  }
  assert.equal(fixture.outcome()?.state, 'contested');
}

describe('a target', () => {
  test('that is up to date needs no request', async (t) => {
    const { reconcile, methods, trust } = await scene(t, configMap('3'), unexpected);
    assert.equal(await reconcile(), undefined);
    assert.deepEqual([methods(), trust.outcome('default', 'shop', 'trust')?.state], [[], 'settled']);
  });

  test('whose ConfigMaps the operator may not read is neither written nor read', async (t) => {
    const { reconcile, methods, outcome } = await scene(t, configMap('3', 'old'), unexpected, { isClosed: true });
    assert.equal(await reconcile(), undefined);
    assert.deepEqual([methods(), outcome()], [[], undefined]);
  });

  test('that is newer than the cache is read before it is written again', async (t) => {
    const { reconcile, methods, server } = await scene(t, configMap('3', 'old'), ({ method, json, status }) => {
      if (method === 'PATCH') status(409, 'Conflict');
      else json(200, configMap('4'));
    });
    await reconcile();
    assert.deepEqual(methods(), ['PATCH', 'GET']);
    const { metadata } = JSON.parse(server.exchanges[0]?.body ?? '{}') as ConfigMap;
    assert.deepEqual([metadata.uid, metadata.resourceVersion], ['object-uid', '3']);
  });

  test('whose deletion the cache has not seen is created again', async (t) => {
    const { reconcile, methods } = await scene(t, configMap('3', 'old'), ({ method, json, status }) => {
      if (method === 'POST') json(201, configMap('5'));
      else status(404, 'NotFound');
    });
    await reconcile();
    assert.deepEqual(methods(), ['PATCH', 'GET', 'POST']);
  });

  test('with an object of another owner is read at intervals, and never written', async (t) => {
    const { reconcile, methods, trust, reported } = await scene(t, undefined, ({ method, json, status }) => {
      if (method === 'POST') status(409, 'AlreadyExists');
      else json(200, theirs);
    });
    for (const _ of [1, 2]) assert.deepEqual(await reconcile(), { requeueAt: later(30_000) });
    assert.deepEqual(methods(), ['POST', 'GET', 'GET']);
    assert.equal(trust.outcome('default', 'shop', 'trust')?.state, 'foreign');
    assert.deepEqual(reported, ['default'], 'it is reported once');
  });

  test('that keeps changing is written at most once a second', async (t) => {
    const fixture = await scene(t, undefined, ({ json }) => json(201, configMap('3', 'changed by a webhook')));
    await assert.rejects(fixture.reconcile(), (error) => isKubeError(error, 'Conflict'));
    const count = fixture.methods().length;
    assert.ok(count <= 5, `${count} writes in one reconcile`);
    fixture.at = later(999);
    assert.deepEqual(await fixture.reconcile(), { requeueAt: later(1000) });
    assert.equal(fixture.methods().length, count);
    fixture.at = later(1000);
    await assert.rejects(fixture.reconcile());
    assert.ok(fixture.methods().length > count, 'it was given up');
  });

  test('that another client keeps changing is repaired after growing pauses, and reports the client', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('kubectl-edit')) : json(201, configMap(nextVersion())),
    );
    await fixture.reconcile();
    for (let repair = 1; repair <= 3; repair += 1) {
      fixture.at = later(repair * 1000);
      fixture.change('theirs');
      assert.equal(fixture.outcome()?.state, 'settled');
      await fixture.reconcile();
    }
    const count = fixture.methods().length;
    fixture.at = later(4000);
    fixture.change('theirs');
    const wait = await fixture.reconcile();
    assert.deepEqual(fixture.methods().slice(count), ['GET'], 'nothing is written, and the client is looked up once');
    await fixture.reconcile();
    assert.equal(fixture.methods().length, count + 1);
    const pauseMs = (wait?.requeueAt.getTime() ?? 0) - later(3000).getTime();
    assert.ok(pauseMs > 26_000 && pauseMs <= 30_000, `${pauseMs} ms`);
    const outcome = fixture.outcome();
    assert.equal(outcome?.state, 'contested');
    assert.match(JSON.stringify(outcome), /kubectl-edit \(data\.ca\.crt\) keeps changing it: stop that client/);
    fixture.at = wait?.requeueAt ?? now;
    await fixture.reconcile();
    assert.equal(fixture.methods().at(-1), 'PATCH', 'it is repaired when the pause is over');
    assert.equal(fixture.outcome()?.state, 'contested', 'one repair does not end it');
    fixture.at = later(200_000);
    assert.equal(await fixture.reconcile(), undefined);
    assert.equal(fixture.outcome()?.state, 'settled', 'it has stayed unchanged');
  });

  test('whose label another client keeps changing is contested like one whose bundle changes', async (t) => {
    const template = { labels: { team: 'edge' } };
    const trustBundle = { configMap: { name: 'trust', ...template }, clusterTrustBundle: false };
    const of = authority({ spec: { ...publisher.spec, trustBundle } });
    const labelled = (team: string): ConfigMap => {
      const { metadata, data } = configMap(nextVersion());
      const annotations = { 'mtls-operator.io/template': '{"labels":["team"],"annotations":[]}' };
      return { metadata: { ...metadata, annotations, labels: { ...metadata.labels, team } }, data };
    };
    const fixture = await scene(
      t,
      labelled('edge'),
      ({ method, json }) => json(200, method === 'GET' ? editedBy('labeller') : labelled('edge')),
      { of },
    );
    await fixture.reconcile();
    assert.deepEqual(fixture.methods(), [], 'the right labels need no write');
    for (let second = 1; second <= 5; second += 1) {
      fixture.at = later(second * 2000);
      fixture.observe(labelled('theirs'));
      await fixture.reconcile();
    }
    assert.equal(fixture.methods().filter((method) => method === 'PATCH').length, 4);
    const outcome = fixture.outcome();
    assert.ok(outcome?.state === 'contested');
    assert.match(outcome.message, /^labeller \(.*\) keeps changing it/);
  });

  test('that another client keeps changing gets new content at once', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('x')) : json(201, configMap(nextVersion(), fixture.pem())),
    );
    await contest(fixture);
    fixture.at = later(5000);
    fixture.rotate();
    await fixture.reconcile();
    assert.equal(fixture.methods().at(-1), 'PATCH');
    assert.equal(fixture.outcome()?.state, 'settled');
  });

  test('with an object of another owner is reported again in another term', async (t) => {
    const { reconcile, beginTerm, reported } = await scene(t, undefined, ({ method, json, status }) => {
      if (method === 'POST') status(409, 'AlreadyExists');
      else json(200, theirs);
    });
    await reconcile();
    beginTerm();
    await reconcile();
    assert.deepEqual(reported, ['default', 'default']);
  });

  test('that another client keeps changing is repaired at once in another term', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('x')) : json(201, configMap(nextVersion())),
    );
    await contest(fixture);
    fixture.beginTerm();
    await fixture.reconcile();
    assert.equal(fixture.methods().at(-1), 'PATCH');
  });

  test('whose object a finalizer keeps is reconciled again, because its name is not free yet', async (t) => {
    const held = configMap('3', 'old');
    const { reconcile, methods } = await scene(
      t,
      { ...held, immutable: true, metadata: { ...held.metadata, deletionTimestamp: '2026-03-01T11:00:00Z' } },
      unexpected,
    );
    assert.deepEqual(await reconcile(), { requeueAt: later(30_000) });
    assert.deepEqual(methods(), []);
  });

  test('that cannot be written reports why, and is retried', async (t) => {
    const { reconcile, trust, reported } = await scene(t, undefined, ({ status }) =>
      status(403, 'Forbidden', 'exceeded quota'),
    );
    await assert.rejects(reconcile(), (error) => isKubeError(error, 'Forbidden'));
    const outcome = { desiredName: 'trust', state: 'failed', message: 'exceeded quota' };
    assert.deepEqual([trust.outcome('default', 'shop', 'trust'), reported], [outcome, ['default']]);
  });

  const goneWays: [title: string, answer: (exchange: Exchange) => void][] = [
    ['has just started to be deleted', ({ json }) => json(403, terminating)],
    ['is deleted', ({ status }) => status(404, 'NotFound', 'namespaces "shop" not found')],
  ];
  for (const [title, answer] of goneWays) {
    test(`in a namespace that ${title} is not a failure`, async (t) => {
      const { reconcile, trust } = await scene(t, undefined, answer);
      assert.equal(await reconcile(), undefined);
      assert.equal(trust.outcome('default', 'shop', 'trust'), undefined);
    });
  }

  test('in a missing namespace, or of a kind that is not served, needs no request', async (t) => {
    const { reconcile, methods } = await scene(t, undefined, unexpected);
    assert.deepEqual([await reconcile('web'), await reconcile('')], [undefined, undefined]);
    assert.deepEqual(methods(), []);
  });

  test('has no outcome under another name, nor in another term', async (t) => {
    const fixture = await scene(t, configMap('3'), unexpected);
    await fixture.reconcile();
    assert.equal(fixture.trust.outcome('default', 'shop', 'another'), undefined);
    fixture.beginTerm();
    assert.equal(fixture.trust.outcome('default', 'shop', 'trust'), undefined);
  });
});

const terminating = {
  kind: 'Status',
  status: 'Failure',
  code: 403,
  reason: 'Forbidden',
  message: 'unable to create new content in namespace shop because it is being terminated',
  details: { causes: [{ reason: 'NamespaceTerminating' }] },
};
