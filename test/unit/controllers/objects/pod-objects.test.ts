import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  cacheKeyOf,
  nodeOfKey,
  observedPod,
  podRequestKey,
  podRequestRecord,
} from '../../../../src/controllers/objects/pod-objects.ts';
import type { Pod, PodCertificateRequest, Served } from '../../../../src/kube/index.ts';
import { publicKeyDer } from '../../../../src/pki/index.ts';
import { generatePodKey, stubRequest } from '../../../support/pods/stub-request.ts';

const metadata = {
  namespace: 'shop',
  name: 'request-1',
  uid: 'u',
  resourceVersion: '7',
  creationTimestamp: '2026-03-01T12:00:00Z',
};
const key = generatePodKey('ED25519');
const spec = {
  signerName: 'mtls-operator.io/default',
  podName: 'web',
  podUID: 'pod-uid',
  serviceAccountName: 'checkout',
  nodeName: 'node.example.com',
  maxExpirationSeconds: 3600,
  stubPKCS10Request: stubRequest(key, publicKeyDer(key)).toString('base64'),
};
type Spec = NonNullable<PodCertificateRequest['spec']>;
const record = (changes: Partial<Spec> = {}, rest: Partial<PodCertificateRequest> = {}) =>
  podRequestRecord({ metadata, spec: { ...spec, ...changes }, ...rest } as Served<PodCertificateRequest>);

describe('the record of a request', () => {
  test('holds what a plan needs', () => {
    assert.deepEqual(record(), {
      ...metadata,
      authority: 'default',
      podName: 'web',
      podUid: 'pod-uid',
      serviceAccountName: 'checkout',
      nodeName: 'node.example.com',
      maxExpirationMs: 3_600_000,
      key: { publicKey: publicKeyDer(key) },
      annotationsDigest: 'none',
    });
  });

  test('does not exist for another signer, for an answered request and for an object without spec', () => {
    for (const signerName of ['example.com/default', 'mtls-operator.io/', 'mtls-operator.io/A', 'mtls-operator.io/a/b'])
      assert.equal(record({ signerName }), undefined, signerName);
    const condition = { type: 'Denied', status: 'True', reason: 'R', message: '', lastTransitionTime: '' } as const;
    assert.equal(record({}, { status: { conditions: [condition] } }), undefined);
    assert.notEqual(record({}, { status: {} }), undefined);
    assert.equal(podRequestRecord({ metadata, isPartial: true }), undefined);
  });

  test('is small, whatever the request holds', () => {
    const annotations = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`k${i}`, 'v'.repeat(100)]));
    const large = record({ unverifiedUserAnnotations: annotations, stubPKCS10Request: 'A'.repeat(200_000) });
    assert.ok(JSON.stringify(large).length < 1000);
    assert.ok(large !== undefined && 'problem' in large.key);
  });

  test('has a key with its node, which finds it in the cache', () => {
    const found = record();
    assert.ok(found);
    const queued = podRequestKey(found);
    assert.equal(queued, 'shop/node.example.com/request-1');
    assert.equal(nodeOfKey(queued), 'node.example.com');
    assert.equal(cacheKeyOf(queued), 'shop/request-1');
  });
});

describe('a live pod', () => {
  const source = (signerName: string, userAnnotations?: Record<string, string>) => ({
    podCertificate: { signerName, ...(userAnnotations === undefined ? {} : { userAnnotations }) },
  });
  const pod = (rest: Partial<Pod> = {}) =>
    observedPod({ metadata: { ...metadata, name: 'web' }, ...rest } as Served<Pod>, 'default');

  test('has the sources of this signer, with digests that equal those of requests', () => {
    const annotations = { b: '2', a: '1' };
    const sources = [
      source('mtls-operator.io/default', annotations),
      source('mtls-operator.io/other', annotations),
      source('mtls-operator.io/default'),
    ];
    const found = pod({ spec: { volumes: [{ projected: { sources } }, {}] } }).sources;
    assert.deepEqual(
      found.map(({ digest }) => digest),
      [record({ unverifiedUserAnnotations: { a: '1', b: '2' } })?.annotationsDigest, record()?.annotationsDigest],
    );
    const others = [{ a: '1' }, { a: '1', b: '3' }, { a: '1', 'b","2': '' }];
    for (const other of others)
      assert.notEqual(record({ unverifiedUserAnnotations: other })?.annotationsDigest, found[0]?.digest);
  });

  test('has started when a container was created', () => {
    assert.ok(!pod({ status: { containerStatuses: [{ containerID: '' }] } }).hasStarted);
    assert.ok(!pod().hasStarted);
    assert.ok(pod({ status: { initContainerStatuses: [{ containerID: 'containerd://1' }] } }).hasStarted);
    assert.ok(pod({ status: { containerStatuses: [{ state: { terminated: {} } }] } }).hasStarted);
    // The node was set up again, and its containers are gone.
    assert.ok(pod({ status: { containerStatuses: [{ containerID: '', restartCount: 1 }] } }).hasStarted);
  });

  test('has ended in the phases Succeeded and Failed', () => {
    assert.deepEqual(
      ['Pending', 'Running', 'Succeeded', 'Failed'].map((phase) => pod({ status: { phase } }).isFinished),
      [false, false, true, true],
    );
  });
});
