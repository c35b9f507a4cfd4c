import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RepairLimits } from '../../../../src/controllers/certificate/repair-limits.ts';
import { repairStatus } from '../../../../src/plan/certificate/secret-contention.ts';
import type { ObservedCertificate } from '../../../../src/plan/index.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { intermediate, root } from '../../../support/fixtures/roots.ts';
import { hours, later, now } from '../../../support/fixtures/times.ts';

const signer = root();
const authority = ready(signer);
const fixture = certificate().issuedBy(signer).reported(authority);
const observed = fixture.observed(authority);
const where = { role: 'server', secretName: 'payments-server-tls' } as const;

/** Limits after this number of repairs, one second apart. */
function repaired(times: number, seen: ObservedCertificate = observed): RepairLimits {
  const limits = new RepairLimits();
  for (let i = 0; i < times; i += 1) {
    const results = seen.roles.map((role) => ({ role, isWritten: true, isRepair: true }));
    limits.note('a', seen, results, later(i * 1000));
  }
  return limits;
}

describe('the repairs of a Secret', () => {
  test('are counted by resource and role', () => {
    const limits = repaired(2);
    assert.deepEqual(limits.get('a', observed, where, later(1000)), { count: 2, lastTime: later(1000) });
    assert.equal(limits.get('b', observed, where, now), undefined);
    assert.equal(limits.get('a', observed, { ...where, role: 'client' }, now), undefined);
  });

  test('are not counted for other writes, and a Secret that no other client changes is not remembered', () => {
    const results = observed.roles.map((role) => ({ role, isWritten: true, isRepair: false }));
    const limits = new RepairLimits();
    limits.note('a', observed, results, now);
    assert.equal(limits.of('a').size, 0);
    assert.equal(limits.get('a', observed, where, now), undefined);
  });

  test('count as repairs now if the clock is set back', () => {
    const limits = repaired(5);
    const back = later(-hours(10));
    assert.deepEqual(limits.get('a', observed, where, back)?.lastTime, back);
    assert.deepEqual(limits.of('a').get('server')?.lastTime, back, 'status has no time in the future');
    assert.deepEqual(limits.get('a', observed, where, later(-hours(10) + 1000))?.lastTime, back);
    assert.equal(limits.get('a', observed, where, later(-hours(9))), undefined);
  });

  test('are forgotten after an hour, and with the resource', () => {
    assert.equal(repaired(9).get('a', observed, where, later(hours(1) + 8000)), undefined);
    const gone = repaired(9);
    gone.forget('a');
    assert.equal(gone.get('a', observed, where, now), undefined);
  });

  const requests: [title: string, changed: ObservedCertificate][] = [
    ['a changed spec', fixture.asking({ duration: '1h' }).observed(authority)],
    ['a new rotate token', fixture.rotating('a').observed(authority)],
    ['another root', fixture.observed(ready(root(), signer))],
    ['another intermediate of the same root', fixture.observed(ready(intermediate(signer)))],
  ];
  for (const [title, changed] of requests) {
    test(`do not delay ${title}, and keep their count after it`, () => {
      const limits = repaired(5);
      assert.equal(limits.get('a', changed, where, now), undefined);
      const results = changed.roles.map((role) => ({ role, isWritten: true, isRepair: true }));
      limits.note('a', changed, results, later(9000));
      assert.equal(limits.of('a').get('server')?.count, 5);
      assert.equal(limits.get('a', changed, where, now)?.count, 5);
    });
  }

  test('are forgotten when a user requests a repair', () => {
    const asking = fixture.with({ retryToken: 'a' });
    const limits = repaired(5);
    assert.equal(limits.get('a', asking.observed(authority), where, now), undefined);
    const handled = asking.remembering({ lastHandledRetry: 'a' }).observed(authority);
    assert.equal(limits.get('a', handled, where, now), undefined);
  });

  test('show when outputs have to be written for another CRL', () => {
    const crl = (digest: string) => ({
      pem: '',
      digest,
      revoked: new Set<string>(),
      entries: { total: 0, byNamespace: new Map() },
      issuers: [],
      unrenewable: [],
      nextUpdate: now,
    });
    const asking = fixture.asking({ outputs: { crl: true } });
    const under = (digest: string) => asking.observed({ ...authority, crl: crl(digest) });
    const limits = repaired(2, under('1'));
    assert.equal(limits.get('a', under('1'), where, now)?.sourcesChanged, undefined);
    assert.equal(limits.get('a', under('2'), where, now)?.sourcesChanged, true);
  });

  test('are read from status after a restart, with their count', () => {
    const repairs = { count: 7, lastTime: now, changedBy: 'a (data.tls.crt)' };
    const secrets = (fixture.record.status.secrets ?? []).map((entry) => ({ ...entry, ...repairStatus(repairs, now) }));
    const after = fixture.remembering({ secrets }).observed(authority);
    const limits = new RepairLimits();
    assert.deepEqual(limits.get('a', after, where, now), repairs);
    const results = after.roles.map((role) => ({ role, isWritten: true, isRepair: true }));
    limits.note('a', after, results, later(1000));
    assert.equal(limits.of('a').get('server')?.count, 8);
  });
});

test('the repairs of a role are kept when the other role has no result', () => {
  const both = fixture
    .asking({ client: { serviceAccount: 'a' } })
    .issuedBy(signer)
    .observed(authority);
  const limits = repaired(4, both);
  const results = both.roles.slice(0, 1).map((role) => ({ role, isWritten: true, isRepair: true }));
  limits.note('a', both, results, later(9000));
  assert.deepEqual(
    [...limits.of('a')].map(([role, { count }]) => [role, count]),
    [
      ['server', 5],
      ['client', 4],
    ],
  );
});

describe('the writer that undoes repairs', () => {
  test('is looked up once after each repair', () => {
    const limits = repaired(3);
    assert.ok(limits.isUnnamed('a', 'server'));
    limits.name('a', 'server', 'first');
    assert.ok(!limits.isUnnamed('a', 'server'));
    assert.equal(limits.get('a', observed, where, now)?.changedBy, 'first');
    const results = observed.roles.map((role) => ({ role, isWritten: true, isRepair: true }));
    limits.note('a', observed, results, later(9000));
    assert.ok(limits.isUnnamed('a', 'server'));
    limits.name('a', 'server', undefined);
    assert.equal(limits.get('a', observed, where, now)?.changedBy, 'first', 'it was forgotten');
  });
});
