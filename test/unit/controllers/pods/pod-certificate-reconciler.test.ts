import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { describe, test } from 'node:test';

import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { PendingPodRequests } from '../../../../src/controllers/pods/pending-pod-requests.ts';
import { PodCertificateReconciler } from '../../../../src/controllers/pods/pod-certificate-reconciler.ts';
import { PodRequestObserver } from '../../../../src/controllers/pods/pod-request-observer.ts';
import {
  type EventDetails,
  type GuardedClient,
  KubeError,
  type LogFields,
  type PodCertificateRequest,
  Store,
  silentLog,
} from '../../../../src/kube/index.ts';
import { anchorId, parseCertificates, publicKeyDer, trustBundle } from '../../../../src/pki/index.ts';
import type { AuthorityRecord, NamespaceRecord, PodRequestRecord } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { hours, later, now } from '../../../support/fixtures/times.ts';
import { generatePodKey } from '../../../support/pods/stub-request.ts';

const key = generatePodKey('ECDSAP256');
const issuer = root();
const queued = 'shop/n1/r1';

const request: PodRequestRecord = {
  namespace: 'shop',
  name: 'r1',
  uid: 'request-uid',
  resourceVersion: '7',
  creationTimestamp: later(-8000).toISOString(),
  authority: 'default',
  podName: 'web',
  podUid: 'pod-uid',
  serviceAccountName: 'checkout',
  nodeName: 'n1',
  maxExpirationMs: hours(24),
  key: { publicKey: publicKeyDer(key) },
  annotationsDigest: 'none',
};
const pod = {
  metadata: { namespace: 'shop', name: 'web', uid: 'pod-uid' },
  spec: {
    serviceAccountName: 'checkout',
    nodeName: 'n1',
    volumes: [{ projected: { sources: [{ podCertificate: { signerName: 'mtls-operator.io/default' } }] } }],
  },
};

interface World {
  /** The stored labels of the namespace. The cache has none. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly selector?: object;
  readonly found?: object | undefined;
  /** Until when the root Secret has the record; `none`: it has none. */
  readonly recorded?: Date | 'none';
  /** The error with which the API server answers the write. */
  readonly refusal?: KubeError;
}

/** A reconciler with one request, and what it does. */
function begin({ labels = {}, selector = {}, found = pod, recorded = later(hours(48)), refusal }: World = {}) {
  const clock = { now };
  const written: PodCertificateRequest[] = [];
  const did: string[] = [];
  const events: EventDetails[] = [];
  const logged: LogFields[] = [];
  const { spec } = authority();
  const podCertificates = { keyTypes: ['ECDSAP256'] as const, maxDuration: '24h', namespaceSelector: selector };
  const record = authority({ spec: { ...spec, podCertificates } });
  const authorities = new Store<AuthorityRecord>();
  authorities.observe(record);
  const namespaces = new Store<NamespaceRecord>();
  namespaces.observe({ name: 'shop', resourceVersion: '1', labels: {}, terminating: false });
  const requests = new Store<PodRequestRecord>();
  requests.observe(request);
  const authorityStates = new AuthorityStates();
  authorityStates.set(record, {
    state: 'ready',
    issuer,
    bundle: trustBundle(issuer.anchor, []),
    acceptedBundleDigests: [],
    ...(recorded !== 'none' && {
      podLeaves: { roots: new Map([[anchorId(issuer.anchor), recorded]]), issuers: new Map() },
    }),
  });
  const client = {
    find: async () => found,
    list: async ({ plural }: { plural: string }) => {
      did.push(`list ${plural}`);
      const items = [{ metadata: { name: 'shop', uid: 'n', resourceVersion: '2', labels } }];
      return { items: plural === 'namespaces' ? items : [] };
    },
    replace: async (_: unknown, object: PodCertificateRequest) => {
      if (refusal !== undefined) throw refusal;
      written.push(object);
      return { metadata: { resourceVersion: '8' } };
    },
  } as unknown as GuardedClient;
  const pending = new PendingPodRequests();
  const reconciler = new PodCertificateReconciler({
    client,
    requests,
    observer: new PodRequestObserver({
      client,
      authorities,
      namespaces,
      namespace: (name) => namespaces.get(name),
      authorityStates,
    }),
    pending,
    records: {
      request: (name, id, notAfter) =>
        did.push(`record ${name} ${id === anchorId(issuer.anchor)} ${notAfter.toISOString()}`),
    },
    onIssuing: ({ podUid }) => did.push(`issues ${podUid}`),
    onIssued: ({ podUid }) => did.push(`issued ${podUid}`),
    onPendingChanged: (name) => did.push(`pending changed of ${name}`),
    recorder: { record: (event) => events.push(event) },
    metrics: {
      onPodCertificateIssued: (name, seconds) => did.push(`counted ${name} after ${seconds} s`),
      onPodCertificateDenied: (name, reason) => did.push(`denied ${name} ${reason}`),
    },
    log: { ...silentLog, info: (_, fields = {}) => logged.push(fields) },
    now: () => clock.now,
  });
  const { signal } = new AbortController();
  const reconcile = () => reconciler.reconcile(queued, { signal });
  /** Another authority takes the name of the first. Its root was not read yet. */
  const createAuthorityAgain = () =>
    authorities.observe({ ...record, uid: 'another authority', resourceVersion: '1000' });
  return { createAuthorityAgain, reconcile, written, did, events, logged, pending, requests, clock };
}

const reasons = (pending: PendingPodRequests): string[] =>
  [...pending.groups().values()].flat().map(({ reason }) => reason);

describe('a request', () => {
  test('gets its certificate in one write, a line in the log, and leaves the cache', async () => {
    const { reconcile, written, did, events, logged, requests } = begin();
    assert.equal(await reconcile(), undefined);
    const [object] = written;
    assert.deepEqual(object?.metadata, { namespace: 'shop', name: 'r1', uid: 'request-uid', resourceVersion: '7' });
    const { conditions, certificateChain = '', notAfter } = object?.status ?? {};
    assert.deepEqual(
      conditions?.map(({ type, status }) => [type, status]),
      [['Issued', 'True']],
    );
    const [leaf] = parseCertificates(certificateChain);
    assert.ok(leaf !== undefined && leaf.publicKey.equals(createPublicKey(key)));
    assert.equal(notAfter, leaf.notAfter.toISOString().replace('.000', ''));
    assert.deepEqual(did, ['issues pod-uid', 'counted default after 8 s', 'issued pod-uid']);
    assert.deepEqual(events, []);
    assert.equal(requests.size, 0);
    assert.deepEqual(logged, [
      {
        authority: 'default',
        namespace: 'shop',
        pod: 'web',
        podUID: 'pod-uid',
        node: 'n1',
        serviceAccount: 'checkout',
        serial: leaf.serialNumber,
        notAfter: leaf.notAfter,
        names: ['spiffe://cluster.local/ns/shop/sa/checkout'],
        request: 'r1',
      },
    ]);
  });

  test('to an authority that was deleted and created again waits until its root was read', async () => {
    const { reconcile, createAuthorityAgain, written, pending } = begin();
    createAuthorityAgain();
    assert.ok(await reconcile());
    assert.deepEqual(written, []);
    assert.deepEqual(reasons(pending), ['Pending']);
  });

  test('waits for the record of the root Secret, and is not signed before', async () => {
    for (const recorded of ['none', later(hours(1))] as const) {
      const { reconcile, written, did } = begin({ recorded });
      assert.ok(await reconcile());
      assert.deepEqual(written, []);
      assert.ok(did.includes('record default true 2026-03-02T11:57:30.000Z'), did.join());
    }
  });

  test('is denied with an event on the pod', async () => {
    const forged = { ...pod, spec: { ...pod.spec, volumes: [] } };
    const { reconcile, written, did, events } = begin({ found: forged });
    assert.equal(await reconcile(), undefined);
    assert.deepEqual(Object.keys(written[0]?.status ?? {}), ['conditions']);
    assert.deepEqual(did, ['denied default VolumeMismatch']);
    assert.deepEqual(
      events.map(({ reason, type, regarding }) => [reason, type, regarding.kind, regarding.uid]),
      [['PodCertificateDenied', 'Warning', 'Pod', 'pod-uid']],
    );
  });

  test('for a pod that does not exist is denied without an event', async () => {
    const { reconcile, events, did } = begin({ found: { ...pod, metadata: { ...pod.metadata, uid: 'another' } } });
    await reconcile();
    assert.deepEqual(did, ['denied default PodMismatch']);
    assert.deepEqual(events, []);
  });

  test('is denied only after the authority and the namespace were read again', async () => {
    const selector = { matchLabels: { team: 'shop' } };
    const fresh = begin({ selector, labels: { team: 'shop' } });
    await fresh.reconcile();
    assert.deepEqual(fresh.did.slice(0, 2), ['list mtlsauthorities', 'list namespaces']);
    assert.equal(fresh.written[0]?.status?.conditions?.[0]?.type, 'Issued');
    const refused = begin({ selector });
    await refused.reconcile();
    assert.equal(refused.written[0]?.status?.conditions?.[0]?.reason, 'NamespaceNotSelected');
  });

  test('that the API server refuses waits, and is planned again', async () => {
    for (const [code, reason] of [
      ['Invalid', 'IssuanceFailed'],
      ['Forbidden', 'Forbidden'],
    ] as const) {
      const { reconcile, pending, events, logged, clock } = begin({ refusal: new KubeError(code, 'no') });
      assert.deepEqual(await reconcile(), { requeueAt: later(1000) });
      assert.deepEqual(reasons(pending), [reason]);
      assert.equal(events.length, 0, 'most causes pass within seconds');
      clock.now = later(6000);
      assert.deepEqual(await reconcile(), { requeueAt: later(9000) });
      assert.equal(events[0]?.note, `${reason}: no`);
      assert.deepEqual(logged, []);
    }
  });

  test('that changed or is gone meanwhile is not an error', async () => {
    assert.deepEqual(await begin({ refusal: new KubeError('Conflict', 'no') }).reconcile(), { requeueAt: later(1000) });
    assert.equal(await begin({ refusal: new KubeError('NotFound', 'no') }).reconcile(), undefined);
  });

  test('whose answer was lost is in the log, because the pod may have the certificate', async () => {
    const refusal = new KubeError('Network', 'lost', { outcomeUnknown: true });
    const { reconcile, logged, did } = begin({ refusal });
    await assert.rejects(reconcile());
    assert.deepEqual(
      logged.map(({ delivery, pod: name }) => [delivery, name]),
      [['unknown', 'web']],
    );
    assert.deepEqual(did, ['issues pod-uid'], 'from then on, the certificate of the pod is unknown');
  });
});
