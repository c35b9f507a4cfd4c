import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { labels, secretKeys } from '../../../../src/api/constants.ts';
import { RepairLimits } from '../../../../src/controllers/certificate/repair-limits.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import { encodePrivateKey, type LeafIssuer, trustBundle } from '../../../../src/pki/index.ts';
import { nextRepairTime } from '../../../../src/plan/certificate/repair-backoff.ts';
import { repairStatus, repairsInStatus } from '../../../../src/plan/certificate/secret-contention.ts';
import { planCertificate, type Repairs } from '../../../../src/plan/index.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { privateKey, root } from '../../../support/fixtures/roots.ts';
import { withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { days, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { Simulation } from '../simulation.ts';
import { authority, fresh, issued, signer } from './certificate-table.ts';

const name = 'payments-server-tls';
const known = issued.reported(authority);
const spoilt = known.whereSecret('server', withData({ 'tls.crt': '' }));

describe('the delay before a repair', () => {
  const pauses = [0, 0, 0, 30, 60, 120, 240, 480, 960, 1200, 1200, 1200];
  for (const [count, seconds] of pauses.entries()) {
    test(`is ${seconds} s after ${count} repairs, or up to a tenth less`, () => {
      const ms = nextRepairTime({ count, lastTime: now }, 'uid/server').getTime() - now.getTime();
      assert.ok(ms <= seconds * 1000 && ms >= seconds * 900, `${ms} ms`);
    });
  }
});

describe('a Secret that was repaired three times', () => {
  const stepOf = (given: CertificateFixture, repairs: Repairs = { count: 3, lastTime: now }, touched = true) => {
    const observed = given.observed(authority);
    const roles = observed.roles.map((role) => ({
      ...role,
      repairs,
      ...(role.secret && { secret: { ...role.secret, ...(touched ? { modifiedByOthers: true as const } : {}) } }),
    }));
    const step = planCertificate({ ...observed, roles }, later(1000)).secrets[0]?.step;
    return step?.step === 'blocked' ? step.reason : step?.step;
  };
  const older = certificate().issuedBy(signer, later(-days(100)));
  const rows: [title: string, given: CertificateFixture, step: string][] = [
    ['waits when its certificate is damaged again', spoilt, 'SecretContested'],
    ['waits when it is deleted again', known.withoutSecret('server'), 'SecretContested'],
    [
      'waits when its key is replaced',
      known.whereSecret('server', withData({ 'tls.key': encodePrivateKey(privateKey(), 'PKCS8') })),
      'SecretContested',
    ],
    [
      'waits when it is set immutable again',
      known.whereSecret('server', (secret) => ({ ...secret, immutable: true })),
      'SecretContested',
    ],
    ['waits when ca.crt is damaged', known.whereSecret('server', withData({ 'ca.crt': '' })), 'SecretContested'],
    [
      'waits when a label is removed',
      known.whereSecret('server', withMarks('labels', { [labels.role]: undefined })),
      'SecretContested',
    ],
    [
      'waits when a pair issued by an unknown root is written',
      known.whereSecret('server', () => certificate().issuedBy(root()).secret('server')),
      'SecretContested',
    ],
    [
      'waits when an expired pair is restored',
      known.whereSecret('server', () => older.secret('server')),
      'SecretContested',
    ],
    ['is kept when it is intact', known, 'keep'],
    ['is issued for a changed spec', spoilt.asking({ duration: '1h' }), 'issue'],
    ['is issued for a new value of rotate', spoilt.rotating('a'), 'issue'],
    ['is issued for a new value of revoke', spoilt.with({ revokeToken: 'a' }), 'issue'],
    ['is issued for a new value of retry', spoilt.with({ retryToken: 'a' }), 'issue'],
    ['is renewed when that is due', fresh.issuedBy(signer).expiringIn(days(1)).reported(authority), 'issue'],
  ];
  for (const [title, given, step] of rows) test(title, () => assert.equal(stepOf(given), step));

  test('does not wait after its delay, or before the third repair', () => {
    assert.equal(stepOf(spoilt, { count: 3, lastTime: later(-minutes(1)) }), 'issue');
    assert.equal(stepOf(spoilt, { count: 2, lastTime: now }), 'issue');
  });

  test('does not delay changes that no other client has caused', () => {
    const bundle = known.whereSecret('server', withData({ 'ca.crt': '' }));
    assert.equal(stepOf(bundle, { count: 3, lastTime: now }, false), 'update');
    assert.equal(stepOf(bundle, { count: 3, lastTime: now, sourcesChanged: true }), 'update');
  });
});

describe('the record of repairs in status', () => {
  test('is empty until the three free repairs are used up, and after an hour', () => {
    assert.deepEqual(repairStatus(undefined, now), {});
    assert.deepEqual(repairStatus({ count: 2, lastTime: now }, now), {});
    assert.deepEqual(repairStatus({ count: 9, lastTime: now }, later(hours(1))), {});
  });

  test('is read again after a restart', () => {
    const repairs = { count: 5, lastTime: now, changedBy: 'a (data.tls.crt)' };
    const [entry] = known.record.status.secrets ?? [];
    assert.ok(entry !== undefined);
    const where = { role: 'server', secretName: name } as const;
    const remembered = (change: object) =>
      repairsInStatus({ secrets: [{ ...entry, ...repairStatus(repairs, now), ...change }] }, where, now);
    assert.deepEqual(remembered({}), repairs);
    assert.equal(remembered({ secretName: 'other' }), undefined);
    assert.equal(remembered({ repairs: { count: 5, lastTime: 'soon' } }), undefined);
    assert.equal(remembered({ repairs: { count: 2, lastTime: now.toISOString() } }), undefined);
    assert.deepEqual(remembered({ repairs: { count: 5, lastTime: later(days(9)).toISOString() } })?.lastTime, now);
  });
});

describe('against every change by another client,', () => {
  const other = encodePrivateKey(privateKey(), 'PKCS8');
  const stranger = certificate().issuedBy(root()).secret('server');
  const own: LeafIssuer = { root: signer, bundle: trustBundle(signer.anchor, []) };
  const damages = fc.constantFrom<(secret: Secret) => Secret | undefined>(
    withData({ [secretKeys.certificate]: '' }),
    withData({ [secretKeys.certificate]: 'x' }),
    withData({ [secretKeys.privateKey]: other }),
    withData({ [secretKeys.bundle]: 'x' }),
    withData({ [secretKeys.certificate]: '', [secretKeys.privateKey]: other }),
    withMarks('labels', { [labels.role]: 'x' }),
    withMetadata(() => ({ labels: {}, annotations: {} })),
    (secret) => ({ ...secret, immutable: true }),
    (secret) => ({ ...secret, data: stranger.data ?? {} }),
    () => undefined,
  );
  const events = fc.record({
    damage: fc.option(damages, { nil: undefined }),
    afterMs: fc.constantFrom(0, 10, 1000, 20_000, minutes(1), minutes(15), minutes(21), minutes(70)),
    restarts: fc.nat({ max: 19 }).map((n) => n === 0),
  });

  test('the number of new certificates in each hour is limited, across restarts too, and status keeps every unexpired serial number', () => {
    fc.assert(
      fc.property(fc.array(events, { minLength: 20, maxLength: 120 }), (history) => {
        const world = new Simulation(known.record, [known.secret('server')]);
        world.limits = new RepairLimits();
        let at = now;
        let restarts = 0;
        const issuedAt: number[] = [];
        const serials = new Set<string>();
        for (const { damage, afterMs, restarts: isRestart } of history) {
          at = new Date(at.getTime() + afterMs);
          if (isRestart) {
            world.limits = new RepairLimits();
            restarts += 1;
          }
          if (damage !== undefined) world.damage(name, damage);
          const before = world.issued.length;
          world.reconcile(own, at);
          for (let i = before; i < world.issued.length; i += 1) issuedAt.push(at.getTime());
          const [entry] = world.record.status.secrets ?? [];
          if (entry !== undefined) serials.add(entry.serialNumber);
          const remembered = new Set([entry?.serialNumber, ...(entry?.replaced ?? []).map((one) => one.serialNumber)]);
          for (const serial of serials) assert.ok(remembered.has(serial), 'a serial number was dropped');
        }
        for (const from of issuedAt) {
          const inHour = issuedAt.filter((one) => one >= from && one < from + hours(1)).length;
          // A restart loses the first two repairs, which status does not record yet.
          assert.ok(inHour <= 11 + 2 * restarts, `${inHour} certificates in an hour`);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('the Secret is repaired and the resource is Ready once the changes stop, and no further write follows', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 40 }), (history) => {
        const world = new Simulation(known.record, [known.secret('server')]);
        world.limits = new RepairLimits();
        let at = now;
        for (const { damage, afterMs } of history) {
          at = new Date(at.getTime() + afterMs);
          if (damage !== undefined) world.damage(name, damage);
          world.reconcile(own, at);
        }
        // One delay, the time until the contention is over, and the hour after which repairs no longer count.
        for (const ms of [minutes(20), minutes(20), hours(1)]) {
          at = new Date(at.getTime() + ms);
          world.reconcile(own, at);
        }
        const [condition] = world.record.status.conditions ?? [];
        assert.deepEqual([condition?.status, condition?.reason], ['True', 'Issued']);
        assert.equal(world.record.status.secrets?.[0]?.repairs, undefined);
        const { writes } = world;
        world.reconcile(own, later(hours(1)) > at ? at : new Date(at.getTime() + minutes(1)));
        world.limits = new RepairLimits();
        world.reconcile(own, at);
        assert.equal(world.writes, writes, 'the Secret was written without a reason');
      }),
      { numRuns: 60 },
    );
  });

  test('a rotated root reaches the Secret without a delay', () => {
    const world = new Simulation(known.record, [known.secret('server')]);
    world.limits = new RepairLimits();
    for (let i = 0; i < 4; i += 1) {
      world.damage(name, withData({ [secretKeys.certificate]: '' }));
      world.reconcile(own, now);
    }
    assert.equal(world.record.status.conditions?.[0]?.reason, 'SecretContested');
    const next = root({ name: 'Next' });
    const both = { root: signer, bundle: trustBundle(signer.anchor, [next.anchor]) };
    world.reconcile(both, later(1000));
    assert.ok(world.plan(both, later(1000)).secrets.every(({ step }) => step.step === 'keep'));
    world.reconcile({ root: next, bundle: trustBundle(next.anchor, []) }, later(2000));
    const { secret } = world.observe(own, now).roles[0] ?? {};
    assert.ok(secret !== undefined && 'leaf' in secret.content);
    assert.equal(ready(next).bundle.digest, secret.content.bundle);
  });
});
