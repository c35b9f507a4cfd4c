import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type PodRequestsAccess, podCertificatesCondition } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';

const { spec } = authority();
const signer = authority({ spec: { ...spec, podCertificates: { keyTypes: ['ED25519'], maxDuration: '24h' } } });
const bad = { state: 'notReady', reason: 'RootExpired', message: 'the root has expired' } as const;
const access = (name: PodRequestsAccess['access'], ...namespaces: string[]): PodRequestsAccess => ({
  access: name,
  namespaces,
});
type Verdict = Parameters<typeof podCertificatesCondition>[2];
const good = { state: 'ready' } as Verdict;

const reasonOf = (...args: Parameters<typeof podCertificatesCondition>): string => {
  const [condition] = podCertificatesCondition(...args);
  return `${condition?.status} ${condition?.reason}`;
};

test('the condition says whether the operator answers the requests of pods', () => {
  assert.equal(reasonOf(signer, access('permitted'), good), 'True Serving');
  assert.equal(reasonOf(signer, access('permitted'), bad), 'False AuthorityNotReady');
  assert.equal(reasonOf(signer, access('unknown'), good), 'False Pending');
  assert.equal(reasonOf(signer, access('unserved'), good), 'False NotServed');
  assert.equal(reasonOf(signer, access('off'), good), 'False NotEnabled');
  const [forbidden] = podCertificatesCondition(signer, access('forbidden', 'shop', 'home'), good);
  assert.equal(forbidden?.reason, 'Forbidden');
  assert.match(forbidden?.message ?? '', / in shop, home;/);
});

test('an authority that may not sign yet does not answer', () => {
  const paused = { ...good, issuancePaused: { reason: 'RootDistributing', message: 'wait' } } as Verdict;
  assert.equal(reasonOf(signer, access('permitted'), paused), 'False AuthorityNotReady');
});

test('the condition is absent until an authority is a signer for pods, and then stays', () => {
  assert.deepEqual(podCertificatesCondition(authority(), access('off'), good), []);
  const condition = {
    type: 'PodCertificatesServed',
    status: 'True',
    reason: 'Serving',
    message: '',
    lastTransitionTime: '2026-03-01T12:00:00Z',
  } as const;
  const former = authority({ status: { conditions: [condition] } });
  assert.equal(reasonOf(former, access('permitted'), good), 'False NotRequested');
});
