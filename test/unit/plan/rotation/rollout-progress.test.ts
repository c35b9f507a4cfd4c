import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CachedSecret } from '../../../../src/plan/index.ts';
import { issuersInUse } from '../../../../src/plan/rotation/live-leaves.ts';
import {
  type IssuedSecret,
  issuedSecret,
  type RolloutObservation,
  unreadableNamespace,
} from '../../../../src/plan/rotation/rollout-observation.ts';
import { countBundles, countLeaves } from '../../../../src/plan/rotation/rollout-progress.ts';
import { issuerIdOf, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, later, minutes, now } from '../../../support/fixtures/times.ts';
import { issued } from '../certificate/certificate-table.ts';
import { bundleOf, next, old } from './rotation-roots.ts';
import { leafOf, secretsOf } from './rotation-situation.ts';

const delayMs = minutes(3);
/** Ten minutes after the process started. */
const evidenceOf = (...secrets: readonly IssuedSecret[]): RolloutObservation => ({
  secrets,
  publications: [],
  examinedSecrets: secrets.length,
  monotonicMs: minutes(10),
});
const [a, b] = secretsOf(old, old);
if (a === undefined || b === undefined) throw new Error('there are two Secrets');

const { labels: _, annotations: __, content: ___, writable: ____, ...claim } = issued.secretRecord('server');
const unread: CachedSecret = { ...claim, unexamined: true };

describe('a Secret that the operator has not read', () => {
  test('blocks every phase and is named with the reason', () => {
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
    'never, if there is no Secret': { secrets: [], inUse: [] },
    'while a certificate that it issued is valid': { secrets: [a, b], inUse: [first] },
    'while the certificate of a lost Secret is valid': { secrets: [lost], inUse: [first] },
    'not after the certificate of a lost Secret has expired': {
      secrets: [{ ...lost, leaf: { ...leafOf(old), notAfter: now } }],
      inUse: [],
    },
    'not after its certificates have expired, even if another issuer is in use': {
      secrets: [
        { ...a, leaf: { ...leafOf(old), notAfter: now } },
        { ...b, leaf: leafOf(next) },
      ],
      inUse: [second],
    },
    'while pods may still use a replaced certificate': {
      secrets: [{ ...a, ...changedMinutesAgo(2), leaf: leafOf(next) }],
      inUse: [first, second],
    },
    'not after pods have loaded the change': {
      secrets: [{ ...a, ...changedMinutesAgo(3), leaf: leafOf(next) }],
      inUse: [second],
    },
    'while the issuer of a certificate under a known root is unknown': {
      secrets: [{ ...a, leaf: withoutIssuer }],
      inUse: [first, second],
    },
    'while the operator has not read a Secret': {
      secrets: [b, issuedSecret(unread)],
      inUse: [first, second],
    },
    'while the operator may not read a namespace': {
      secrets: [b, unreadableNamespace('web', ['secrets'], 0)],
      inUse: [first, second],
    },
    'not because of a certificate under an unknown root': {
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
