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

/** The ConfigMap as the API server shows its metadata after another client has edited it. */
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
  /** Which authorities' status is to be looked at, in order. */
  readonly told: readonly string[];
  /** The methods of the requests so far. */
  readonly methods: () => string[];
  at: Date;
  /** Another term of the leader begins. */
  readonly beginTerm: () => void;
  readonly outcome: () => TrustOutcome | undefined;
  /** Another client writes the ConfigMap. */
  readonly change: (pem: string) => void;
  /** Another root signs; the bundle that is to be there is then `pem()`. */
  readonly rotate: () => void;
  readonly pem: () => string;
  readonly look: (namespace?: string) => Promise<{ requeueAt: Date } | undefined>;
}

/** A namespace `shop`, and a cache that holds this there. */
async function scene(
  t: TestContext,
  cached: ConfigMap | undefined,
  answer: (exchange: Exchange) => void,
): Promise<Scene> {
  const server = await serve(t, answer);
  const client = server.client();
  const caches = new Caches(() => []);
  const authorityStates = new AuthorityStates();
  const told: string[] = [];
  let published = bundle;
  caches.authorities.observe(publisher);
  caches.namespaces.observe({ name: 'shop', resourceVersion: '1', labels: {}, terminating: false });
  if (cached !== undefined) caches.configMaps.store.observe(inConfigMap.toRecord(cached));
  authorityStates.set(publisher, { state: 'ready', issuer: signer, bundle, acceptedBundleDigests: [] });
  const { authorities, namespaces } = caches;
  const newTerm = () =>
    new TrustReconciler({
      authorities,
      namespaces,
      authorityStates,
      configMaps: new TrustWriter(client, inConfigMap, caches.configMaps, silentLog),
      clusterTrustBundles: new TrustWriter(client, inClusterTrustBundle, caches.clusterTrustBundles, silentLog),
      servesClusterTrustBundles: () => false,
      onOutcome: (name) => told.push(name),
      now: () => made.at,
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
    told,
    at: now,
    methods: () => server.exchanges.map(({ method }) => method),
    outcome: () => trust.outcome('default', 'shop', 'trust'),
    change: (pem) => caches.configMaps.store.observe(inConfigMap.toRecord(configMap(nextVersion(), pem))),
    rotate() {
      published = trustBundle(otherSigner.certificate, []);
      authorityStates.set(publisher, {
        state: 'ready',
        issuer: otherSigner,
        bundle: published,
        acceptedBundleDigests: [],
      });
    },
    pem: () => published.pem,
    look: (namespace = 'shop') => trust.reconcile(`default/${namespace}`, { signal: new AbortController().signal }),
  };
  return made;
}

const unexpected = ({ status }: Exchange): void => status(500, 'Unexpected');

/** Another client changes the ConfigMap again and again, until its repair is delayed. */
async function contest(fixture: Scene): Promise<void> {
  await fixture.look();
  for (let repair = 1; repair <= 4; repair += 1) {
    fixture.at = later(repair * 1000);
    fixture.change('theirs');
    await fixture.look();
  }
  assert.equal(fixture.outcome()?.state, 'contested');
}

describe('a place', () => {
  test('that is as it should be takes no request', async (t) => {
    const { look, methods, trust } = await scene(t, configMap('3'), unexpected);
    assert.equal(await look(), undefined);
    assert.deepEqual([methods(), trust.outcome('default', 'shop', 'trust')?.state], [[], 'settled']);
  });

  test('where the cache is behind is looked at before it is written again', async (t) => {
    const { look, methods, server } = await scene(t, configMap('3', 'old'), ({ method, json, status }) => {
      if (method === 'PATCH') status(409, 'Conflict');
      else json(200, configMap('4'));
    });
    await look();
    assert.deepEqual(methods(), ['PATCH', 'GET']);
    const { metadata } = JSON.parse(server.exchanges[0]?.body ?? '{}') as ConfigMap;
    assert.deepEqual([metadata.uid, metadata.resourceVersion], ['object-uid', '3']);
  });

  test('where a deletion has not been seen yet is filled again', async (t) => {
    const { look, methods } = await scene(t, configMap('3', 'old'), ({ method, json, status }) => {
      if (method === 'POST') json(201, configMap('5'));
      else status(404, 'NotFound');
    });
    await look();
    assert.deepEqual(methods(), ['PATCH', 'GET', 'POST']);
  });

  test('that somebody else has is read now and then, not written', async (t) => {
    const { look, methods, trust, told } = await scene(t, undefined, ({ method, json, status }) => {
      if (method === 'POST') status(409, 'AlreadyExists');
      else json(200, theirs);
    });
    for (const _ of [1, 2]) assert.deepEqual(await look(), { requeueAt: later(30_000) });
    assert.deepEqual(methods(), ['POST', 'GET', 'GET']);
    assert.equal(trust.outcome('default', 'shop', 'trust')?.state, 'foreign');
    assert.deepEqual(told, ['default'], 'status is told once');
  });

  test('that is changed over and over is written at most once a second', async (t) => {
    const fixture = await scene(t, undefined, ({ json }) => json(201, configMap('3', 'changed by a webhook')));
    await assert.rejects(fixture.look(), (error) => isKubeError(error, 'Conflict'));
    const count = fixture.methods().length;
    assert.ok(count <= 5, `${count} writes in one go`);
    fixture.at = later(999);
    assert.deepEqual(await fixture.look(), { requeueAt: later(1000) });
    assert.equal(fixture.methods().length, count);
    fixture.at = later(1000);
    await assert.rejects(fixture.look());
    assert.ok(fixture.methods().length > count, 'it is given up');
  });

  test('that another client changes again and again is repaired after growing pauses, and says who it is', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('kubectl-edit')) : json(201, configMap(nextVersion())),
    );
    await fixture.look();
    for (let repair = 1; repair <= 3; repair += 1) {
      fixture.at = later(repair * 1000);
      fixture.change('theirs');
      assert.equal(fixture.outcome()?.state, 'settled');
      await fixture.look();
    }
    const count = fixture.methods().length;
    fixture.at = later(4000);
    fixture.change('theirs');
    const wait = await fixture.look();
    assert.deepEqual(fixture.methods().slice(count), ['GET'], 'nothing is written, and the client is asked for once');
    await fixture.look();
    assert.equal(fixture.methods().length, count + 1);
    const pauseMs = (wait?.requeueAt.getTime() ?? 0) - later(3000).getTime();
    assert.ok(pauseMs > 26_000 && pauseMs <= 30_000, `${pauseMs} ms`);
    const outcome = fixture.outcome();
    assert.equal(outcome?.state, 'contested');
    assert.match(JSON.stringify(outcome), /kubectl-edit \(data\.ca\.crt\) keeps changing it: stop that client/);
    fixture.at = wait?.requeueAt ?? now;
    await fixture.look();
    assert.equal(fixture.methods().at(-1), 'PATCH', 'it is repaired when the pause is over');
    assert.equal(fixture.outcome()?.state, 'contested', 'one repair does not end it');
    fixture.at = later(200_000);
    assert.equal(await fixture.look(), undefined);
    assert.equal(fixture.outcome()?.state, 'settled', 'it has been left alone');
  });

  test('that another client changes again and again gets other content at once', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('x')) : json(201, configMap(nextVersion(), fixture.pem())),
    );
    await contest(fixture);
    fixture.at = later(5000);
    fixture.rotate();
    await fixture.look();
    assert.equal(fixture.methods().at(-1), 'PATCH');
    assert.equal(fixture.outcome()?.state, 'settled');
  });

  test('that somebody else has is told of again in another term', async (t) => {
    const { look, beginTerm, told } = await scene(t, undefined, ({ method, json, status }) => {
      if (method === 'POST') status(409, 'AlreadyExists');
      else json(200, theirs);
    });
    await look();
    beginTerm();
    await look();
    assert.deepEqual(told, ['default', 'default']);
  });

  test('that another client has changed again and again is repaired at once in another term', async (t) => {
    const fixture = await scene(t, undefined, ({ method, json }) =>
      method === 'GET' ? json(200, editedBy('x')) : json(201, configMap(nextVersion())),
    );
    await contest(fixture);
    fixture.beginTerm();
    await fixture.look();
    assert.equal(fixture.methods().at(-1), 'PATCH');
  });

  test('whose object a finalizer holds is looked at again, since its name is not free yet', async (t) => {
    const held = configMap('3', 'old');
    const { look, methods } = await scene(
      t,
      { ...held, immutable: true, metadata: { ...held.metadata, deletionTimestamp: '2026-03-01T11:00:00Z' } },
      unexpected,
    );
    assert.deepEqual(await look(), { requeueAt: later(30_000) });
    assert.deepEqual(methods(), []);
  });

  test('that cannot be written says why, and is tried again', async (t) => {
    const { look, trust, told } = await scene(t, undefined, ({ status }) => status(403, 'Forbidden', 'exceeded quota'));
    await assert.rejects(look(), (error) => isKubeError(error, 'Forbidden'));
    const outcome = { desiredName: 'trust', state: 'failed', message: 'exceeded quota' };
    assert.deepEqual([trust.outcome('default', 'shop', 'trust'), told], [outcome, ['default']]);
  });

  const goneWays: [title: string, answer: (exchange: Exchange) => void][] = [
    ['has just begun to be deleted', ({ json }) => json(403, terminating)],
    ['is gone', ({ status }) => status(404, 'NotFound', 'namespaces "shop" not found')],
  ];
  for (const [title, answer] of goneWays) {
    test(`in a namespace that ${title} is no failure`, async (t) => {
      const { look, trust } = await scene(t, undefined, answer);
      assert.equal(await look(), undefined);
      assert.equal(trust.outcome('default', 'shop', 'trust'), undefined);
    });
  }

  test('in a namespace that is not there, or of a kind that is not served, takes no request', async (t) => {
    const { look, methods } = await scene(t, undefined, unexpected);
    assert.deepEqual([await look('web'), await look('')], [undefined, undefined]);
    assert.deepEqual(methods(), []);
  });

  test('that was looked at for another name counts as not looked at', async (t) => {
    const fixture = await scene(t, configMap('3'), unexpected);
    await fixture.look();
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
