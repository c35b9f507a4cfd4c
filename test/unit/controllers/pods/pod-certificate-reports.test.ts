import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PendingPodRequests } from '../../../../src/controllers/pods/pending-pod-requests.ts';
import { PodCertificateReports } from '../../../../src/controllers/pods/pod-certificate-reports.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { later, now } from '../../../support/fixtures/times.ts';

const org = authority({
  name: 'org',
  spec: { ...authority().spec, podCertificates: { keyTypes: ['ED25519'], maxDuration: '24h' } },
  status: { podCertificates: { issued: 7 } },
});
const request = {
  namespace: 'shop',
  name: 'r1',
  uid: 'u',
  resourceVersion: '1',
  creationTimestamp: '2026-03-01T12:00:00Z',
  authority: 'org',
  podName: 'web',
  podUid: 'p',
  serviceAccountName: 'default',
  nodeName: 'n1',
  maxExpirationMs: 1,
  key: { problem: '' },
  annotationsDigest: 'none',
};

function reporting() {
  const clock = { nowMs: 1_000_000 };
  const due: number[] = [];
  const pending = new PendingPodRequests();
  const reports = new PodCertificateReports(
    pending,
    (_, delayMs) => due.push(delayMs),
    () => clock.nowMs,
  );
  return { clock, due, pending, reports };
}

test('a report counts the certificates of earlier terms and of this one', () => {
  const { reports } = reporting();
  reports.issued(org);
  reports.issued(org);
  assert.deepEqual(reports.report(org), { issued: 9 });
});

test('a report changes at most once in 10 seconds, and a change in between is reported then', () => {
  const { clock, due, reports } = reporting();
  assert.deepEqual(reports.report(org), { issued: 7 });
  clock.nowMs += 4000;
  reports.issued(org);
  assert.deepEqual(due.splice(0), [6000]);
  clock.nowMs += 5999;
  assert.deepEqual(reports.report(org), { issued: 7 });
  assert.deepEqual(due.splice(0), [1000], 'a timer that was early does not lose the change');
  clock.nowMs += 1000;
  assert.deepEqual(reports.report(org), { issued: 8 });
  assert.deepEqual(due, []);
});

test('requests that wait are grouped by reason, with the first pod as the example', () => {
  const { pending, reports } = reporting();
  pending.note('b', { ...request, podName: 'b' }, 'ServiceNotFound', now);
  pending.note('a', { ...request, podName: 'a' }, 'ServiceNotFound', now);
  pending.note('c', { ...request, podName: 'c' }, 'AuthorityNotReady', now);
  pending.note('d', { ...request, authority: 'other' }, 'ServiceNotFound', now);
  assert.equal(pending.waitingIn('shop'), 4);
  assert.deepEqual(reports.report(org), {
    issued: 7,
    pending: [
      { reason: 'AuthorityNotReady', count: 1, example: 'shop/c' },
      { reason: 'ServiceNotFound', count: 2, example: 'shop/a' },
    ],
  });
  for (const key of ['a', 'b', 'c', 'd']) pending.forget(key);
  assert.equal(pending.forget('a'), undefined);
  assert.equal(pending.waitingIn('shop'), 0);
  assert.deepEqual([...pending.groups()], []);
});

test('a request waits since it was first noted, also for another reason', () => {
  const { pending } = reporting();
  assert.deepEqual(pending.note('a', request, 'ServiceNotFound', now), { since: now, isNew: true });
  assert.deepEqual(pending.note('a', request, 'ServiceNotFound', later(1000)), { since: now, isNew: false });
  assert.deepEqual(pending.note('a', request, 'AuthorityNotReady', later(2000)), { since: now, isNew: true });
  pending.forget('a');
  assert.deepEqual(pending.note('a', request, 'ServiceNotFound', later(3000)), { since: later(3000), isNew: true });
});

test('an authority that never was a signer for pods has no report', () => {
  const { reports } = reporting();
  assert.equal(reports.report(authority()), undefined);
});
