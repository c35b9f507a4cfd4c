import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../../src/api/types.ts';
import { metricSources, type Operator } from '../../../src/controllers/index.ts';
import type { Sample } from '../../../src/telemetry/mirrored-gauge.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { root } from '../../support/fixtures/roots.ts';
import { leading, until } from './world/operator-process.ts';

const now = new Date('2026-06-10T00:00:00Z');

const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-06-01T00:00:00Z',
});

function certificateOf(name: string, renewalTime: string, ...conditions: readonly Condition[]) {
  const secrets = [{ role: 'server', renewalTime, notAfter: '2026-07-10T00:00:00Z' }];
  return { namespace: 'shop', name, status: { secrets, conditions } };
}

const rootStatus = (fingerprint: string) => ({
  fingerprint,
  subject: 'CN=Root',
  notBefore: '2026-06-01T00:00:00Z',
  notAfter: '2036-06-01T00:00:00Z',
});

const generated = root({ name: 'Generated' });
const brought = root({ name: 'Brought' });

/** The sources of a standby with these objects in its caches. */
function sources() {
  const due = '2026-06-20T00:00:00Z';
  const certificates = [
    certificateOf('a', due, condition('Ready', 'True', 'Issued')),
    certificateOf('b', due, condition('Ready', 'True', 'Issued')),
    certificateOf('c', '2026-06-01T00:00:00Z', condition('Ready', 'False', 'Denied')),
    { namespace: 'shop', name: 'new', status: {} },
  ];
  const { root: _, ...specWithoutRoot } = authority().spec;
  const authorities = [
    authority({ name: 'healthy', status: { conditions: [condition('Ready', 'True', 'Ready')] } }),
    authority({
      name: 'publishing',
      status: {
        conditions: [
          condition('Ready', 'False', 'RootMissing'),
          condition('TrustPublished', 'True', 'Published'),
          condition('AdditionalRootsAccepted', 'True', 'Accepted'),
          condition('PodCertificatesServed', 'True', 'Serving'),
        ],
        activeRoot: rootStatus('new'),
        podCertificates: {
          issued: 7,
          roots: [
            { fingerprint: 'new', notAfter: '2026-06-14T00:00:00Z' },
            { fingerprint: 'old', notAfter: '2026-06-11T00:00:00Z' },
            { fingerprint: 'older', notAfter: '2026-06-10T00:00:00Z' },
          ],
        },
      },
    }),
    authority({
      name: 'blocked',
      status: {
        conditions: [
          condition('TrustPublished', 'False', 'TrustConflict'),
          condition('AdditionalRootsAccepted', 'False', 'SourceMissing'),
          condition('PodCertificatesServed', 'False', 'NotEnabled'),
        ],
        activeRoot: rootStatus('new'),
        podCertificates: { issued: 1, roots: [{ fingerprint: 'new', notAfter: '2026-06-14T00:00:00Z' }] },
      },
    }),
    authority({
      name: 'brought',
      spec: specWithoutRoot,
      status: {
        conditions: [
          condition('TrustPublished', 'False', 'NotRequested'),
          condition('AdditionalRootsAccepted', 'False', 'NotRequested'),
          condition('PodCertificatesServed', 'False', 'NotRequested'),
        ],
      },
    }),
  ];
  const operator = {
    caches: {
      certificates: { values: () => certificates },
      authorities: {
        values: () => authorities,
        get: (key: string) => authorities.find(({ name }) => name === key),
      },
    },
    authorityStates: {
      issuers: () => [
        ['healthy', generated],
        ['brought', brought],
        ['deleted', generated],
      ],
      crls: () => [],
    },
    term: undefined,
  };
  return metricSources(operator as unknown as Operator, () => now);
}

const asObject = (samples: Iterable<Sample>): Record<string, number> =>
  Object.fromEntries([...samples].map(({ labels, value }) => [labels.join('/'), value]));

test('certificates are counted by status and reason of Ready, including those that the operator has not seen', () => {
  assert.deepEqual(asObject(sources().certificates()), { 'True/Issued': 2, 'False/Denied': 1, 'Unknown/Pending': 1 });
});

test('certificates that are overdue are counted, and the count is 0 without any', () => {
  assert.deepEqual([...sources().certificatesOverdue()], [{ labels: [], value: 1 }]);
  const empty = { caches: { certificates: { values: () => [] } } } as unknown as Operator;
  assert.deepEqual([...metricSources(empty, () => now).certificatesOverdue()], [{ labels: [], value: 0 }]);
});

test('each certificate has its expiry and its planned renewal', () => {
  const seconds = (date: string): number => Date.parse(date) / 1000;
  assert.equal(asObject(sources().certificateExpiry())['shop/a/server'], seconds('2026-07-10T00:00:00Z'));
  assert.deepEqual(asObject(sources().certificateRenewal()), {
    'shop/a/server': seconds('2026-06-20T00:00:00Z'),
    'shop/b/server': seconds('2026-06-20T00:00:00Z'),
    'shop/c/server': seconds('2026-06-01T00:00:00Z'),
  });
});

test('an authority is Ready or not, also before it has a status', () => {
  assert.deepEqual(asObject(sources().authorityReady()), { healthy: 1, publishing: 0, blocked: 0, brought: 0 });
});

test('an authority that publishes no bundle has no sample about it', () => {
  assert.deepEqual(asObject(sources().trustPublished()), { publishing: 1, blocked: 0 });
});

test('an authority that requests no additional roots has no sample about them', () => {
  assert.deepEqual(asObject(sources().additionalRootsAccepted()), { publishing: 1, blocked: 0 });
});

test('a root that the operator rotates has the time of its rotation, a root that a person brought has none', () => {
  const { notBefore, notAfter } = generated.certificate;
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  assert.deepEqual(asObject(sources().rootRenewal()), { healthy: (notAfter.getTime() - lifetimeMs / 10) / 1000 });
});

test('a leader shows the reconcile in progress, for how long it runs, and the keys that wait', async (t) => {
  const { operator, memory, deliverCertificates } = await leading(t);
  const { promise: answer, resolve } = Promise.withResolvers<void>();
  await until(() =>
    assert.deepEqual(
      operator.term?.controllers.map(({ activeWorkers }) => activeWorkers),
      [0, 0, 0, 0],
    ),
  );
  memory.onRequest = async (request, moment) => {
    if (moment === 'before' && request.startsWith('create secrets')) await answer;
  };
  await deliverCertificates(4);
  const gauges = metricSources(operator, () => now);
  // One namespace uses at most a quarter of the workers.
  await until(() => assert.equal(asObject(gauges.activeWorkers())['certificate'], 1));
  assert.equal(asObject(gauges.queueDepth())['certificate/certificate'], 3);
  await until(() => assert.ok((asObject(gauges.unfinishedWork())['certificate/certificate'] ?? 0) > 0));
  assert.ok((asObject(gauges.longestRunning())['certificate/certificate'] ?? 0) > 0);
  resolve();
  await until(() => assert.deepEqual(asObject(gauges.certificates()), { 'True/Issued': 4 }));
});

test('an authority that is no signer for pods has no sample about them', () => {
  assert.deepEqual(asObject(sources().podCertificatesServed()), { publishing: 1, blocked: 0 });
});

test('the last certificate of a pod counts only if its root no longer signs', () => {
  assert.deepEqual(asObject(sources().podCertificatesOfOldRoots()), {
    publishing: Date.parse('2026-06-11T00:00:00Z') / 1000,
  });
});
