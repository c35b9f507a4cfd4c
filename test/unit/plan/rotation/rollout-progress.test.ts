import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CachedSecret } from '../../../../src/plan/index.ts';
import { issuersInUse } from '../../../../src/plan/rotation/live-leaves.ts';
import {
  type IssuedSecret,
  issuedSecret,
  type RolloutObservation,
} from '../../../../src/plan/rotation/rollout-observation.ts';
import { countBundles, countLeaves } from '../../../../src/plan/rotation/rollout-progress.ts';
import { issuerIdOf, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, later, minutes, now } from '../../../support/fixtures/times.ts';
import { issued } from '../certificate/certificate-table.ts';
import { bundleOf, next, old } from './rotation-roots.ts';
import { leafOf, secretsOf } from './rotation-situation.ts';

const delayMs = minutes(3);
/** Ten minutes after the process began. */
const evidenceOf = (...secrets: readonly IssuedSecret[]): RolloutObservation => ({
  secrets,
  publications: [],
  examinedSecrets: secrets.length,
  monotonicMs: minutes(10),
});
const [a, b] = secretsOf(old, old);
if (a === undefined || b === undefined) throw new Error('there are two Secrets');

describe('a Secret that the operator has not read', () => {
  const { labels: _, annotations: __, content: ___, writable: ____, ...claim } = issued.secretRecord('server');
  const unread: CachedSecret = { ...claim, unexamined: true };

  test('holds up every phase, whatever it needs, and is named with the reason', () => {
    const rollout = evidenceOf(issuedSecret(unread));
    for (const progress of [
      countBundles(rollout, [bundleOf(old).digest], now),
      countLeaves(rollout, rootIdOf(old), now),
      countLeaves(rollout, rootIdOf(next), later(days(10_000))),
    ]) {
      assert.deepEqual([progress.done, progress.total], [0, 1]);
      assert.deepEqual(
        progress.missing.map(({ displayName: what, detail: why }) => [what, why]),
        [['shop/payments-server-tls', 'the operator has not read it yet']],
      );
    }
  });
});

test('a Secret that a finalizer holds in deletion is named with the reason', () => {
  const record = issued.secretRecord('server');
  assert.equal(issuedSecret({ ...record, deleting: true }).detail, 'being deleted, but a finalizer holds it');
  assert.equal(issuedSecret(record).detail, undefined);
});

describe('an issuer is in use', () => {
  const [first, second] = [issuerIdOf(old), issuerIdOf(next)];
  const changedMinutesAgo = (count: number) => ({ changedAtMs: minutes(10 - count) });
  const lost = { ...a, changedAtMs: Number.POSITIVE_INFINITY, why: 'deleted' };
  const { issuer: _, ...withoutIssuer } = leafOf(old);
  const rows: Record<string, { secrets: readonly IssuedSecret[]; inUse: readonly string[] }> = {
    'never, where there is no Secret': { secrets: [], inUse: [] },
    'while a certificate of it lasts': { secrets: [a, b], inUse: [first] },
    'while a certificate of a lost Secret lasts': { secrets: [lost], inUse: [first] },
    'no longer than that': { secrets: [{ ...lost, leaf: { ...leafOf(old), notAfter: now } }], inUse: [] },
    'no longer than its certificates, whatever other issuers have': {
      secrets: [
        { ...a, leaf: { ...leafOf(old), notAfter: now } },
        { ...b, leaf: leafOf(next) },
      ],
      inUse: [second],
    },
    'for as long as pods may have the certificate from before a change': {
      secrets: [{ ...a, ...changedMinutesAgo(2), leaf: leafOf(next) }],
      inUse: [first, second],
    },
    'no longer than pods take to load a change': {
      secrets: [{ ...a, ...changedMinutesAgo(3), leaf: leafOf(next) }],
      inUse: [second],
    },
    'perhaps, while the issuer of a certificate of a known root is not known': {
      secrets: [{ ...a, leaf: withoutIssuer }],
      inUse: [first, second],
    },
    'not because of a certificate of an unknown root': {
      secrets: [{ ...a, leaf: { notAfter: later(days(1)) } }],
      inUse: [],
    },
  };
  for (const [title, { secrets, inUse }] of Object.entries(rows)) {
    test(title, () => {
      const isInUse = issuersInUse(evidenceOf(...secrets), delayMs, now);
      assert.deepEqual([first, second].filter(isInUse), inUse);
    });
  }
});
