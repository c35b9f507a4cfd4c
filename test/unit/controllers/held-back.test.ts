import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeldBackAttempts } from '../../../src/controllers/held-back.ts';
import { statusChange } from '../../../src/controllers/status-writer.ts';
import { planCertificate, planCertificateStatus } from '../../../src/plan/index.ts';
import { type CertificateFixture, certificate, later, notReady, now, ready, root } from '../../support/fixtures.ts';

const signer = root();
const authority = ready(signer);
const fixture = certificate();
const observed = fixture.observed(authority);

describe('a failed attempt', () => {
  test('holds the next one back, and longer every time', () => {
    const attempts = new HeldBackAttempts();
    assert.equal(attempts.get('a', observed), undefined);
    const first = attempts.failed('a', observed, 'no', undefined, now);
    const held = attempts.get('a', observed);
    assert.deepEqual([held?.failures, held?.message], [first, 'no']);
    const second = attempts.failed('a', observed, 'no', held, first.nextRetryTime);
    assert.equal(second.attempts, 2);
    assert.equal(attempts.get('b', observed), undefined);
  });

  const changes: [title: string, changed: typeof observed][] = [
    ['a changed spec', fixture.asking({ duration: '1h' }).observed(authority)],
    ['a new token', fixture.rotating('a').observed(authority)],
    ['another root', fixture.observed(ready(root()))],
    ['a root that has gone bad', fixture.observed(notReady('RootExpired', 'x'))],
    ['a new resource of the same name', fixture.with({ uid: 'other' }).observed(authority)],
  ];
  for (const [title, changed] of changes) {
    test(`does not hold back ${title}`, () => {
      const attempts = new HeldBackAttempts();
      attempts.failed('a', observed, 'no', undefined, now);
      assert.equal(attempts.get('a', changed), undefined);
      assert.ok(attempts.get('a', observed) !== undefined);
    });
  }

  test('is forgotten after a success', () => {
    const attempts = new HeldBackAttempts();
    attempts.failed('a', observed, 'no', undefined, now);
    attempts.forget('a');
    assert.equal(attempts.get('a', observed), undefined);
  });

  const wantedStatus = (given: CertificateFixture, heldBack: ReturnType<HeldBackAttempts['get']>) => {
    const outcomes = planCertificate(given.observed(authority), now, heldBack).secrets.map(({ role, step }) =>
      step.step === 'blocked' ? { role, problem: step } : { role },
    );
    return planCertificateStatus(given.record, outcomes, heldBack?.failures, now).status;
  };

  /** The resource with the status that a failed attempt leaves behind. */
  function failed(given: CertificateFixture): CertificateFixture {
    const failures = new HeldBackAttempts().failed('a', given.observed(authority), 'no', undefined, now);
    const status = wantedStatus(given, { failures, message: 'no' });
    const more = { observedGeneration: given.record.generation, lastTransitionTime: now.toISOString() };
    return given.remembering({ ...status, conditions: status.conditions.map((one) => ({ ...one, ...more })) });
  }

  const both = fixture.asking({ client: { serviceAccount: 'a' } });
  const failures: [title: string, given: CertificateFixture][] = [
    ['of the only role', fixture],
    ['of two roles', both],
    ['of a renewal', fixture.issuedBy(signer).expiringIn(1000 * 3600)],
  ];
  for (const [title, given] of failures) {
    test(`${title} is known again after a restart, and nothing is written because of that`, () => {
      const after = failed(given);
      const heldBack = new HeldBackAttempts().get('a', after.observed(authority));
      assert.equal(heldBack?.message, 'no');
      assert.equal(statusChange(after.record.status, wantedStatus(after, heldBack), later(1000)), undefined);
    });
  }

  test('is no reason to wait after a restart when spec has changed since', () => {
    const after = failed(fixture).asking({ duration: '1h' });
    assert.equal(new HeldBackAttempts().get('a', after.observed(authority)), undefined);
  });
});
