import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IssuanceBackoff, type RoleResult } from '../../../../src/controllers/certificate/issuance-backoff.ts';
import { statusChange } from '../../../../src/controllers/objects/status-writer.ts';
import type { Role } from '../../../../src/pki/index.ts';
import { type ObservedCertificate, planCertificate, planCertificateStatus } from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { hours, later, now } from '../../../support/fixtures/times.ts';

const signer = root();
const authority = ready(signer);
const fixture = certificate().asking({ client: { serviceAccount: 'a' } });
const observed = fixture.observed(authority);

/** Results of all roles. The named roles have failed. */
const failing = (
  seen: ObservedCertificate,
  failed: readonly Role[],
  { message = 'no', isRefusal = true } = {},
): RoleResult[] =>
  seen.roles.map((role) =>
    failed.includes(role.role)
      ? { role, isDelayed: false, failure: { message, isRefusal } }
      : { role, isDelayed: role.failedAttempts !== undefined },
  );

/** The observation with the failures that the backoff knows, as the reconciler builds it. */
const delayed = (backoff: IssuanceBackoff, key: string, seen: ObservedCertificate, at = now): ObservedCertificate => ({
  ...seen,
  roles: seen.roles.map((role) => {
    const failed = backoff.get(key, seen, role.role, at);
    return failed === undefined ? role : { ...role, failedAttempts: failed };
  }),
});

describe('a failed attempt', () => {
  test('delays the next attempt of its role, longer each time', () => {
    const backoff = new IssuanceBackoff();
    assert.equal(backoff.get('a', observed, 'server', now), undefined);
    const first = backoff.note('a', observed, failing(observed, ['server']), now).get('server');
    assert.deepEqual(backoff.get('a', observed, 'server', now), {
      attempts: 1,
      lastFailureTime: now,
      nextRetryTime: first?.nextRetryTime,
      message: 'no',
    });
    const again = failing(delayed(backoff, 'a', observed), ['server']);
    assert.equal(backoff.note('a', observed, again, later(5000)).get('server')?.attempts, 2);
    assert.equal(backoff.get('b', observed, 'server', now), undefined);
  });

  test('delays no longer than usual if the clock is set back, and a successful write then wakes it after 5 s', () => {
    const backoff = new IssuanceBackoff();
    backoff.note('ns/a', observed, failing(observed, ['server']), now);
    const isAwake = (ms: number) =>
      (backoff.get('ns/a', observed, 'server', later(ms))?.nextRetryTime ?? now) <= later(ms);
    assert.equal(isAwake(-hours(1)), false);
    assert.equal(isAwake(-hours(1) + 4000), false);
    assert.equal(isAwake(-hours(1) + 5000), true);
    const { namespace } = observed.certificate;
    const other = new IssuanceBackoff();
    other.note('ns/a', observed, failing(observed, ['server']), now);
    assert.deepEqual(other.wake(namespace, later(4000)), []);
    assert.deepEqual(other.wake(namespace, later(-hours(1))), ['ns/a']);
    other.note('ns/a', observed, failing(observed, ['server']), now);
    other.get('ns/a', observed, 'server', later(-hours(1)));
    assert.deepEqual(other.wake(namespace, later(-hours(1) + 4000)), []);
    assert.deepEqual(other.wake(namespace, later(-hours(1) + 5000)), ['ns/a']);
  });

  test('does not delay the other role of the resource, and keeps its own message', () => {
    const backoff = new IssuanceBackoff();
    backoff.note('a', observed, failing(observed, ['server']), now);
    assert.equal(backoff.get('a', observed, 'client', now), undefined);
    const seen = delayed(backoff, 'a', observed);
    backoff.note('a', seen, failing(seen, ['client'], { message: 'other' }), now);
    assert.deepEqual(
      (['server', 'client'] as const).map((role) => {
        const failed = backoff.get('a', observed, role, now);
        return [failed?.attempts, failed?.message];
      }),
      [
        [1, 'no'],
        [1, 'other'],
      ],
    );
  });

  const changes: [title: string, changed: ObservedCertificate][] = [
    ['a changed spec', fixture.asking({ duration: '1h' }).observed(authority)],
    ['a new token', fixture.rotating('a').observed(authority)],
    ['a new retry token', fixture.with({ retryToken: 'a' }).observed(authority)],
    ['another root', fixture.observed(ready(root()))],
    ['a root that became invalid', fixture.observed(notReady('RootExpired', 'x'))],
    ['a new resource of the same name', fixture.with({ uid: 'other' }).observed(authority)],
  ];
  for (const [title, changed] of changes) {
    test(`does not delay ${title}`, () => {
      const backoff = new IssuanceBackoff();
      backoff.note('a', observed, failing(observed, ['server']), now);
      assert.equal(backoff.get('a', changed, 'server', now), undefined);
      assert.ok(backoff.get('a', observed, 'server', now) !== undefined);
    });
  }

  test('is forgotten after a success of its role, and with the resource', () => {
    const backoff = new IssuanceBackoff();
    backoff.note('a', observed, failing(observed, ['server', 'client']), now);
    backoff.note('a', observed, failing(observed, ['client']), now);
    assert.equal(backoff.get('a', observed, 'server', now), undefined);
    assert.ok(backoff.get('a', observed, 'client', now) !== undefined);
    backoff.forget('a', 'shop');
    assert.equal(backoff.get('a', observed, 'client', now), undefined);
    assert.deepEqual(backoff.wake('shop', later(hours(1))), []);
  });

  test('is forgotten after a success of all roles: a later failure counts as the first, and no success wakes the resource', () => {
    const backoff = new IssuanceBackoff();
    backoff.note('a', observed, failing(observed, ['server']), now);
    backoff.note('a', observed, failing(observed, []), now);
    assert.equal(backoff.get('a', observed, 'server', now), undefined);
    assert.deepEqual(backoff.wake('shop', later(hours(1))), []);
  });

  test('has its message cut when an API server answers with a long text', () => {
    const message = `${'x'.repeat(1022)}😀${'y'.repeat(5000)}`;
    const results = failing(observed, ['server'], { message });
    const failed = new IssuanceBackoff().note('a', observed, results, now).get('server');
    assert.ok(failed !== undefined && failed.message.length <= 1024 && failed.message.isWellFormed());
  });
});

describe('after a restart', () => {
  const statusOf = (resource: CertificateFixture, seen: ObservedCertificate) => {
    const outcomes = planCertificate(seen, now).secrets.map(({ role, step }) => ({
      role,
      ...(step.step === 'blocked' ? { problem: step } : {}),
      ...(role.failedAttempts === undefined ? {} : { failedAttempts: role.failedAttempts }),
    }));
    return planCertificateStatus(resource.record, outcomes, now, authority.bundle.roots).status;
  };

  /** The resource with the status that failed attempts leave behind. */
  function failed(resource: CertificateFixture, roles: readonly Role[]): CertificateFixture {
    const backoff = new IssuanceBackoff();
    const seen = resource.observed(authority);
    backoff.note('a', seen, failing(seen, roles), now);
    const status = statusOf(resource, delayed(backoff, 'a', seen));
    const more = { observedGeneration: resource.record.generation, lastTransitionTime: now.toISOString() };
    return resource.remembering({ ...status, conditions: status.conditions.map((one) => ({ ...one, ...more })) });
  }

  const cases: [title: string, resource: CertificateFixture, roles: readonly Role[]][] = [
    ['of the only role', certificate(), ['server']],
    ['of two roles', fixture, ['server', 'client']],
    ['of one of two roles', fixture, ['client']],
    [
      'of a renewal',
      certificate()
        .issuedBy(signer)
        .expiringIn(1000 * 3600),
      ['server'],
    ],
  ];
  for (const [title, resource, roles] of cases) {
    test(`a failure ${title} is read from status, and status is not written again`, () => {
      const after = failed(resource, roles);
      const seen = delayed(new IssuanceBackoff(), 'a', after.observed(authority));
      for (const { role, failedAttempts: failed } of seen.roles)
        assert.equal(failed?.message, roles.includes(role) ? 'no' : undefined);
      assert.equal(statusChange(after.record.status, statusOf(after, seen), later(1000)), undefined);
    });
  }

  const delayOf = (resource: CertificateFixture) =>
    new IssuanceBackoff().get('a', resource.observed(authority), 'server', now);

  test('nothing is delayed if spec has changed since, or a token is new', () => {
    const after = failed(fixture, ['server']);
    assert.ok(delayOf(after) !== undefined);
    assert.equal(delayOf(after.asking({ duration: '1h' })), undefined);
    assert.equal(delayOf(after.rotating('a')), undefined);
    assert.equal(delayOf(after.with({ retryToken: 'a' })), undefined);
    assert.ok(delayOf(after.with({ retryToken: 'a' }).remembering({ lastHandledRetry: 'a' })) !== undefined);
  });

  test('nothing is delayed by a status that the operator cannot have written', () => {
    const after = failed(fixture, ['server']);
    const [entry] = after.record.status.failures ?? [];
    assert.ok(entry !== undefined);
    for (const odd of [{ nextRetryTime: 'soon' }, { lastFailureTime: '' }, { nextRetryTime: '2099-01-01T00:00:00Z' }]) {
      assert.equal(delayOf(after.remembering({ failures: [{ ...entry, ...odd }] })), undefined);
    }
    const negative = after.remembering({ failures: [{ ...entry, attempts: -7 }] });
    assert.equal(delayOf(negative)?.attempts, 1);
  });
});

describe('a successful write in a namespace', () => {
  const keys = ['a', 'b', 'c'];
  const refused = (options?: { isRefusal?: boolean }) => {
    const backoff = new IssuanceBackoff();
    for (const [i, key] of keys.entries()) {
      backoff.note(key, observed, failing(observed, ['server'], options), later(i * 1000));
    }
    return backoff;
  };

  test('wakes the two resources that were refused the longest ago, and their success wakes the others', () => {
    const backoff = refused();
    const woken = later(7000);
    const before = backoff.get('c', observed, 'server', woken);
    assert.deepEqual(backoff.wake('shop', woken), ['a', 'b']);
    assert.deepEqual(backoff.get('a', observed, 'server', woken)?.nextRetryTime, woken);
    assert.deepEqual(backoff.get('c', observed, 'server', woken), before);
    assert.deepEqual(backoff.wake('shop', woken), ['c']);
    assert.deepEqual(backoff.wake('shop', woken), []);
  });

  test('wakes no resource in another namespace, and none whose failure was not a refusal', () => {
    assert.deepEqual(refused().wake('other', later(hours(1))), []);
    assert.deepEqual(refused({ isRefusal: false }).wake('shop', later(hours(1))), []);
  });

  test('wakes no resource that failed a moment ago, so that a lasting cause does not lead to endless retries', () => {
    const backoff = refused();
    assert.deepEqual(backoff.wake('shop', later(4999)), []);
    backoff.wake('shop', later(8000));
    backoff.note('a', observed, failing(delayed(backoff, 'a', observed), ['server']), later(8000));
    backoff.note('b', observed, failing(delayed(backoff, 'b', observed), ['server']), later(8000));
    assert.deepEqual(backoff.wake('shop', later(8001)), ['c']);
    assert.deepEqual(backoff.wake('shop', later(8002)), []);
    assert.equal(backoff.get('a', observed, 'server', now)?.attempts, 2);
  });

  test('wakes those that failed the longest ago, even if another one has just failed again', () => {
    const backoff = refused();
    const seen = delayed(backoff, 'a', observed);
    backoff.note('a', seen, failing(seen, ['server']), later(9000));
    assert.deepEqual(backoff.wake('shop', later(9001)), ['b', 'c']);
    assert.deepEqual(backoff.wake('shop', later(14_000)), ['a']);
  });

  test('wakes only the roles that were refused', () => {
    const backoff = new IssuanceBackoff();
    const [server, client] = [failing(observed, ['server']), failing(observed, ['client'], { isRefusal: false })];
    backoff.note('a', observed, [...server.slice(0, 1), ...client.slice(1)], now);
    const before = backoff.get('a', observed, 'client', now);
    assert.deepEqual(backoff.wake('shop', later(5000)), ['a']);
    assert.deepEqual(backoff.get('a', observed, 'server', now)?.nextRetryTime, later(5000));
    assert.deepEqual(backoff.get('a', observed, 'client', now), before);
  });

  test('wakes a resource that has waited since before a restart: the API server may have refused it', () => {
    const before = refused();
    const after = new IssuanceBackoff();
    const seen = delayed(before, 'a', observed);
    const waiting = seen.roles.map((role) => ({ role, isDelayed: role.failedAttempts !== undefined }));
    after.note('a', seen, waiting, later(5000));
    assert.deepEqual(after.wake('shop', later(5000)), ['a']);
  });
});
