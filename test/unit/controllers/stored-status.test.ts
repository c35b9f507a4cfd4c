/**
 * A status is untrusted input: in a damaged or hostile one, only the bad entries are ignored. Decisions based on it never throw,
 * and the next status is one that the API server accepts.
 *
 *     FUZZ_CASES=100000 FUZZ_SEED=7 npm test -- unit stored-status
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { misfit, type Schema, schemas } from '../../../src/api/schema.ts';
import type { IssuedSecret, MtlsAuthorityStatus, MtlsCertificateStatus } from '../../../src/api/types.ts';
import { IssuanceBackoff } from '../../../src/controllers/certificate/issuance-backoff.ts';
import { RepairLimits } from '../../../src/controllers/certificate/repair-limits.ts';
import { authorityRecord, certificateRecord } from '../../../src/controllers/objects/resources.ts';
import { revocationState } from '../../../src/controllers/objects/root-crl.ts';
import { statusChange } from '../../../src/controllers/objects/status-writer.ts';
import {
  afterFailure,
  afterRepair,
  type CertificateRecord,
  type DesiredCondition,
  leavesToRevoke,
  missingSecrets,
  type ObservedCertificate,
  planAuthority,
  planAuthorityStatus,
  planCertificate,
  planCertificateStatus,
  trustCondition,
} from '../../../src/plan/index.ts';
import { damaged } from '../../support/damaged.ts';
import { ready } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { root } from '../../support/fixtures/roots.ts';
import { days, hours, later, minutes, now } from '../../support/fixtures/times.ts';
import * as fc from '../../support/properties.ts';
import { distributing, draining, overwritten, quiet, retiring, switching } from '../plan/rotation/rotation-phases.ts';
import { observedIn, type Situation, secretOf } from '../plan/rotation/rotation-situation.ts';
import { CertificateProcess } from './world/certificate-process.ts';

const numRuns = Number(process.env['FUZZ_CASES'] ?? 1000);
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_129);

const signer = root();
const view = ready(signer);
const fixture = certificate()
  .asking({ client: { serviceAccount: 'checkout' } })
  .issuedBy(signer)
  .reported(view);
const a = 'a'.repeat(64);
const stamp = (ms: number): string => later(ms).toISOString();
const replaced = (serialNumber: string) => ({
  serialNumber,
  rootFingerprint: signer.anchor.fingerprint,
  issuerId: a,
  notAfter: stamp(days(9)),
});

/** A status in which every field is set. */
const full: MtlsCertificateStatus = asStored({
  ...fixture.record.status,
  conditions: [
    ...(fixture.record.status.conditions ?? []),
    ...idle(['Issuing']).map((condition) => ({ ...condition, lastTransitionTime: stamp(0) })),
  ],
  lastHandledRotate: 'one',
  lastHandledRevoke: 'two',
  lastHandledRetry: 'three',
  lastFailureTime: stamp(-minutes(1)),
  nextRetryTime: stamp(minutes(1)),
  failedIssuanceAttempts: 4,
  failures: [
    {
      role: 'server',
      attempts: 4,
      lastFailureTime: stamp(-minutes(1)),
      nextRetryTime: stamp(minutes(1)),
      message: 'quota',
    },
  ],
  secrets: (fixture.record.status.secrets ?? []).map((entry) => ({
    ...entry,
    handledRotate: 'four',
    handledRevoke: 'five',
    repairs: { count: 5, lastTime: stamp(-hours(0.2)), changedBy: 'kubectl' },
    replaced: [replaced('a1'), replaced('a2'), replaced('a3')],
  })),
});

function asStored<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

type Served = Parameters<typeof certificateRecord>[0];
const recordOf = (status: unknown, changes: Partial<CertificateRecord> = {}): CertificateRecord => {
  const { namespace, name, uid, resourceVersion, generation, spec } = fixture.record;
  const metadata = { namespace, name, uid, resourceVersion, generation };
  return { ...certificateRecord({ metadata, spec, status } as unknown as Served), ...changes };
};

function assertStorable(schema: Schema, actual: object, wanted: Parameters<typeof statusChange>[1]): void {
  const status = statusChange(actual, wanted, now)?.status ?? actual;
  assert.equal(misfit(schema, asStored(status), 'status'), undefined);
}

/** A condition type that was set once stays. */
function assertStays(types: readonly string[], before: MtlsAuthorityStatus, after: readonly DesiredCondition[]): void {
  const set = (before.conditions ?? []).map(({ type }) => type).filter((type) => types.includes(type));
  assert.deepEqual(
    set.filter((type) => !after.some((condition) => condition.type === type)),
    [],
  );
}

describe('in a damaged status,', () => {
  const entry = full.secrets?.[0] as IssuedSecret;
  const secret = (change: Partial<Record<keyof IssuedSecret, unknown>>) => ({
    ...full,
    secrets: [{ ...entry, ...change }],
  });
  const kept = (change: Partial<IssuedSecret> = {}) => ({ ...full, secrets: [{ ...entry, ...change }] });
  const { issuerId: _, ...withoutIssuer } = entry;
  const many = Array.from({ length: 10_000 }, (_, i) => replaced(i.toString(16)));
  const { secrets: __, ...withoutSecrets } = full;
  const { failures: ___, ...withoutFailures } = full;
  const table: [title: string, status: unknown, read: unknown][] = [
    [
      'a replaced certificate whose serial number is not hexadecimal',
      secret({ replaced: [replaced('xyz'), replaced('b1')] }),
      kept({ replaced: [replaced('b1')] }),
    ],
    [
      'a replaced certificate with a date that does not exist',
      secret({ replaced: [{ ...replaced('b1'), notAfter: '2026-02-30T00:00:00Z' }, replaced('b2')] }),
      kept({ replaced: [replaced('b2')] }),
    ],
    [
      'a second entry for a serial number',
      secret({ replaced: [replaced('b1'), replaced('b2'), replaced('b1')] }),
      kept({ replaced: [replaced('b1'), replaced('b2')] }),
    ],
    [
      'all but the last 256 of 10,000 replaced certificates',
      secret({ replaced: many }),
      kept({ replaced: many.slice(-256) }),
    ],
    ['a second entry for a role', { ...full, secrets: [entry, { ...entry, secretName: 'other' }] }, kept()],
    [
      'an optional field that is not a fingerprint',
      secret({ issuerId: a.toUpperCase() }),
      { ...full, secrets: [withoutIssuer] },
    ],
    ['a Secret without a valid root', secret({ rootFingerprint: 'root' }), withoutSecrets],
    ['a Secret whose revision is too large', secret({ revision: 1e300 }), withoutSecrets],
    ['a Secret of an unknown role', secret({ role: 'router' }), withoutSecrets],
    ['an invalid number of attempts', { ...full, failures: [{ ...full.failures?.[0], attempts: 0 }] }, withoutFailures],
  ];
  for (const [title, status, read] of table) {
    test(`${title} is ignored, and nothing else`, () => {
      assert.deepEqual(recordOf(asStored(status)).status, asStored(read));
    });
  }

  test('nothing is ignored when every field is valid', () => assert.deepEqual(recordOf(full).status, full));
});

describe('a status of the version that wrote authorityFingerprint', () => {
  const old: unknown = JSON.parse(JSON.stringify(full).replaceAll('rootFingerprint', 'authorityFingerprint'));
  const record = recordOf(old);

  test('is read with every certificate in it', () => assert.deepEqual(record.status, full));

  test('is written once after an upgrade, and no Secret is written', async (t) => {
    const before = await CertificateProcess.begin(t);
    await before.create({ client: { serviceAccount: 'checkout' } });
    for (const token of ['a', 'b', 'c']) {
      await before.annotate('rotate', token);
      await before.settle();
    }
    const { secrets } = before.status();
    assert.deepEqual(
      secrets?.map(({ replaced }) => replaced?.length),
      [2, 2],
    );
    const oldNames: unknown = JSON.parse(JSON.stringify(secrets).replaceAll('rootFingerprint', 'authorityFingerprint'));
    await before.patchStatus({ secrets: oldNames });
    const upgraded = await CertificateProcess.begin(t, before.api);
    await upgraded.settle();
    assert.deepEqual(upgraded.requests, ['mergePatch mtlscertificates payments']);
    assert.deepEqual(upgraded.status().secrets, secrets);
    await upgraded.settle();
    assert.deepEqual(upgraded.requests, []);
  });
});

test('an authority that trusts more roots than status can list has a status that the API server accepts', () => {
  const situation = { ...quiet, trusted: [...quiet.trusted, ...Array.from({ length: 70 }, () => root())] };
  const observed = withRevocation(observedIn(situation), situation);
  const { status } = planAuthorityStatus(observed, planAuthority(observed, now), now);
  assertStorable(schemas.MtlsAuthority.status, {}, status);
  assert.equal(status.trustBundle?.match(/BEGIN/g)?.length, 71);
});

test('a count stops at the largest number that status can hold', () => {
  const most = 2 ** 31 - 1;
  assert.equal(afterFailure(most, now, 'seed').attempts, most);
  assert.equal(afterRepair({ count: most, lastTime: now }, now).count, most);
});

test(`the operator handles ${numRuns} certificates with a damaged status, with seed ${seed}`, () => {
  const tokens = fc.record(
    {
      rotateToken: fc.constantFrom('one', 'x'),
      revokeToken: fc.constantFrom('two', 'y'),
      retryToken: fc.constant('z'),
    },
    { requiredKeys: [] },
  );
  const present = fc.boolean();
  fc.assert(
    fc.property(damaged(full), tokens, present, present, (status, asked, hasSecrets, hasFailed) => {
      const record = recordOf(status, asked);
      assert.equal(misfit(schemas.MtlsCertificate.status, record.status, 'status'), undefined);
      const base = hasSecrets ? fixture : fixture.withoutSecret('server').withoutSecret('client');
      const bare: ObservedCertificate = { ...base.observed(view), certificate: record };
      const [backoff, repairs] = [new IssuanceBackoff(), new RepairLimits()];
      const roles = bare.roles.map((role) => {
        const [failed, known] = [backoff.get('key', bare, role.role, now), repairs.get('key', bare, role, now)];
        return { ...role, ...(failed && { failedAttempts: failed }), ...(known && { repairs: known }) };
      });
      const observed = { ...bare, roles };
      const plan = planCertificate(observed, now);
      const failure = { message: 'no', isRefusal: true };
      const results = roles.map((role) => ({ role, isDelayed: false, ...(hasFailed && { failure }) }));
      const failures = backoff.note('key', observed, results, now);
      repairs.note(
        'key',
        observed,
        roles.map((role) => ({ role, isWritten: true, isRepair: true })),
        now,
      );
      const outcomes = plan.secrets.map(({ role, step }) => {
        const [failed, known] = [failures.get(role.role), repairs.of('key').get(role.role)];
        return {
          role: { ...role, ...(known && { repairs: known }) },
          ...(step.step === 'blocked' && { problem: step }),
          ...(failed && { failedAttempts: failed }),
        };
      });
      const planned = planCertificateStatus(record, outcomes, now, view.bundle.roots, view);
      assertStorable(schemas.MtlsCertificate.status, record.status, planned.status);
      assertStays(['Ready', 'Issuing'], record.status, planned.status.conditions);
      assert.ok(planned.requeueAt === undefined || planned.requeueAt > now);
      for (const { role, secret } of roles) leavesToRevoke(record, role, secret, now);
      missingSecrets(
        record,
        () => false,
        () => undefined,
      );
    }),
    { numRuns, seed },
  );
});

test(`the operator handles ${numRuns} authorities with a damaged status, with seed ${seed}`, () => {
  const situations = [quiet, distributing, switching, draining, retiring, overwritten].map((situation) => {
    const observed = observedIn(situation);
    const { status } = planAuthorityStatus(observed, planAuthority(withRevocation(observed, situation), now), now);
    const conditions = [
      ...status.conditions,
      ...idle(['Rotating', 'TrustPublished', 'AdditionalRootsAccepted', 'IssuerKeyMissing', 'CrlNearlyFull']),
    ];
    return { situation, status: asStored(statusChange({}, { ...status, conditions }, now)?.status) };
  });
  const cases = fc
    .constantFrom(...situations)
    .chain(({ situation, status }) => damaged(status).map((changed) => ({ situation, changed })));
  fc.assert(
    fc.property(cases, ({ situation, changed }) => {
      const observed = withRevocation(observedIn(situation), situation);
      const { name, uid, resourceVersion, generation, spec } = observed.authority;
      const metadata = { name, uid, resourceVersion, generation };
      const authority = authorityRecord({ metadata, spec, status: changed } as unknown as Parameters<
        typeof authorityRecord
      >[0]);
      assert.equal(misfit(schemas.MtlsAuthority.status, authority.status, 'status'), undefined);
      const whole = { ...observed, authority };
      const { status } = planAuthorityStatus(whole, planAuthority(whole, now), now);
      const published = trustCondition(authority, { state: 'unknown' }, [], { servesClusterTrustBundles: true }) ?? [];
      const conditions = [...status.conditions, published].flat();
      assertStorable(schemas.MtlsAuthority.status, authority.status, { ...status, conditions });
      const types = [
        'Ready',
        'Rotating',
        'TrustPublished',
        'AdditionalRootsAccepted',
        'IssuerKeyMissing',
        'CrlNearlyFull',
      ];
      assertStays(types, authority.status, conditions);
    }),
    { numRuns: Math.ceil(numRuns / 2), seed },
  );
});

function idle(types: readonly DesiredCondition['type'][]): DesiredCondition[] {
  return types.map((type) => ({ type, status: 'False', reason: 'Idle', message: 'm' }));
}

function withRevocation<T extends object>(observed: T, situation: Situation) {
  return { ...observed, revocation: revocationState(secretOf(situation)), requestedRevocations: [] };
}
