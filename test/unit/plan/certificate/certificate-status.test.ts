import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import type { CertificateReason } from '../../../../src/api/reasons.ts';
import type { Role } from '../../../../src/pki/index.ts';
import { renewalTime } from '../../../../src/plan/certificate/renewal.ts';
import {
  type AuthorityState,
  type FailedAttempts,
  planCertificateStatus,
  type RoleOutcome,
  rolesOf,
} from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { foreign, withData, withMarks } from '../../../support/fixtures/secret.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';

const signer = root();
const authority = ready(signer);
const two = certificate().asking({ client: { serviceAccount: 'checkout' } });
const issued = two.issuedBy(signer);

type Problem = NonNullable<RoleOutcome['problem']>;

/** The outcomes of a fixture's roles, some with a problem. */
const outcomes = (
  given: CertificateFixture,
  problems: Partial<Record<Role, Problem>> = {},
  failures: Partial<Record<Role, FailedAttempts>> = {},
  view: AuthorityState = authority,
): RoleOutcome[] =>
  given.observed(view).roles.map((role) => {
    const [problem, failedAttempts] = [problems[role.role], failures[role.role]];
    return {
      role,
      ...(problem === undefined ? {} : { problem }),
      ...(failedAttempts === undefined ? {} : { failedAttempts }),
    };
  });

const statusOf = (
  given: CertificateFixture,
  {
    problems,
    failures,
    at = now,
  }: { problems?: Partial<Record<Role, Problem>>; failures?: Partial<Record<Role, FailedAttempts>>; at?: Date } = {},
) => planCertificateStatus(given.record, outcomes(given, problems, failures), at, authority.bundle.roots);

const seconds = (date: Date): string => date.toISOString().replace('.000', '');

/** The entry in status for a role's Secret that was just issued. */
function entry(given: CertificateFixture, role: Role, revision = 1) {
  const secret = given.secretRecord(role, authority);
  assert.ok('leaf' in secret.content);
  const { leaf } = secret.content;
  const due = renewalTime(leaf, given.record.spec, `certificate-uid/${role}`);
  return {
    role,
    secretName: `payments-${role}-tls`,
    serialNumber: leaf.serialNumber,
    fingerprint: leaf.fingerprint,
    rootFingerprint: signer.certificate.fingerprint,
    issuerId: issuerIdOf(signer),
    publicKeyFingerprint: leaf.publicKey,
    notBefore: seconds(leaf.notBefore),
    notAfter: seconds(leaf.notAfter),
    renewalTime: seconds(due),
    revision,
  };
}

describe('the status of a resource', () => {
  test('lists the certificate in every Secret, and the earliest renewal time', () => {
    const secrets = [entry(issued, 'server'), entry(issued, 'client')];
    const [first = ''] = secrets.map((one) => one.renewalTime).sort();
    assert.deepEqual(statusOf(issued), {
      status: {
        observedGeneration: 2,
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'Issued',
            message: 'up to date: payments-server-tls, payments-client-tls',
          },
        ],
        secrets,
        notAfter: seconds(later(days(90))),
        renewalTime: first,
      },
      requeueAt: new Date(first),
    });
  });

  test('is the same for the same facts', () => assert.deepEqual(statusOf(issued), statusOf(issued)));

  test('keeps its entries when the spec is not valid or requests no certificate', () => {
    const { server: _, client: __, ...spec } = issued.record.spec;
    const reported = issued.rotating('a').reported(authority);
    const { conditions: ___, observedGeneration: ____, ...known } = reported.record.status;
    assert.equal(known.secrets?.length, 2);
    for (const specProblem of [{ specProblem: 'spec.duration does not match the schema …' }, {}]) {
      const given = reported.with({ spec, ...specProblem, generation: 7 }).rotating('b');
      const { conditions, ...status } = statusOf(given).status;
      assert.deepEqual(status, { observedGeneration: 7, ...known });
      assert.deepEqual(
        conditions.map(({ status: is, reason }) => [is, reason]),
        [['False', 'InvalidSpec']],
      );
    }
  });

  test('has no entry for a Secret that is missing, foreign or not valid', () => {
    const cases = [
      issued.withoutSecret('client'),
      issued.whereSecret('client', foreign),
      issued.whereSecret('client', (secret) => ({ ...secret, data: {} })),
    ];
    for (const given of cases) {
      const problem: Problem = { reason: 'SecretConflict', message: 'x' };
      const { secrets } = statusOf(given, { problems: { client: problem } }).status;
      assert.deepEqual(secrets, [entry(issued, 'server')]);
    }
  });

  test('keeps the entry of an issued certificate while its Secret is lost, foreign or not valid', () => {
    const { secrets } = statusOf(issued).status;
    const known = issued.remembering({ secrets: secrets ?? [] });
    const cases = [
      known.withoutSecret('client'),
      known.whereSecret('client', (secret) => ({ ...secret, metadata: { ...secret.metadata, ownerReferences: [] } })),
      known.whereSecret('client', (secret) => ({ ...secret, data: {} })),
    ];
    for (const given of cases) {
      const problem: Problem = { reason: 'SecretConflict', message: 'x' };
      const { status } = statusOf(given, { problems: { client: problem } });
      assert.deepEqual([status.secrets, status.notAfter], [secrets, statusOf(issued).status.notAfter]);
    }
  });

  test('has no entry for a leaf that was issued by an unknown root', () => {
    const given = two.issuedBy(root());
    assert.deepEqual(statusOf(given).status.secrets, []);
  });

  test('keeps the entry of a leaf whose root is not valid after a restart', () => {
    const before = statusOf(issued).status;
    const given = issued.remembering({ secrets: before.secrets ?? [] });
    const roles = outcomes(given).map(({ role: { secret, ...role } }) => {
      assert.ok(secret !== undefined && 'leaf' in secret.content);
      const { root: _, ...leaf } = secret.content.leaf;
      return { role: { ...role, secret: { ...secret, content: { ...secret.content, leaf } } } };
    });
    assert.deepEqual(planCertificateStatus(given.record, roles, now, []).status, before);
  });

  const revisions: [text: string | undefined, revision: number][] = [
    ['5', 5],
    [undefined, 1],
    ['0', 1],
    ['-5', 1],
    ['1.5', 1],
    ['Infinity', 1],
  ];
  for (const [text, revision] of revisions) {
    test(`has revision ${revision} when the Secret records ${text ?? 'none'}`, () => {
      const given = issued.whereSecret('server', withMarks('annotations', { [annotations.revision]: text }));
      assert.equal(statusOf(given).status.secrets?.[0]?.revision, revision);
    });
  }
});

describe('the certificates that were replaced', () => {
  const first = certificate().issuedBy(signer);
  const replacedIn = (given: CertificateFixture, at = now) => statusOf(given, { at }).status.secrets?.[0]?.replaced;
  /** The next certificate in the same Secret, with the previous one in status. */
  const next = (given: CertificateFixture, at = now): CertificateFixture =>
    given.remembering({ secrets: statusOf(given, { at }).status.secrets ?? [] }).issuedBy(signer, at);
  const { serialNumber, rootFingerprint, issuerId, notAfter } = entry(first, 'server');
  const mine = { serialNumber, rootFingerprint, issuerId, notAfter };

  test('are none for the first certificate', () => assert.equal(replacedIn(first), undefined));

  test('are listed until they expire, but their expiry alone causes no write', () => {
    const second = next(first);
    assert.deepEqual(replacedIn(second), [mine]);
    const remembered = second.remembering({ secrets: statusOf(second).status.secrets ?? [] });
    assert.deepEqual(replacedIn(remembered), [mine]);
    assert.deepEqual(replacedIn(remembered, later(days(91))), [mine]);
    const third = next(second);
    assert.deepEqual(
      replacedIn(third)?.map((one) => one.serialNumber),
      [serialNumber, entry(second, 'server').serialNumber],
    );
    const muchLater = later(days(120));
    assert.deepEqual(replacedIn(remembered.issuedBy(signer, muchLater), muchLater), undefined);
  });

  test('are listed for a Secret that was lost and created again', () => {
    const lost = first.remembering({ secrets: statusOf(first).status.secrets ?? [] }).withoutSecret('server');
    assert.deepEqual(replacedIn(next(lost)), [mine]);
  });

  const full = Array.from({ length: 256 }, (_, i) => ({ ...mine, serialNumber: (i + 1).toString(16) }));
  const where = (given: CertificateFixture, replaced: typeof full) =>
    given.remembering({ secrets: [{ ...entry(given, 'server'), replaced }] });

  test('include every unexpired one, after seventeen rotations too', () => {
    let given = first;
    for (let i = 0; i < 20; i += 1) given = next(given);
    const serials = replacedIn(given)?.map((one) => one.serialNumber) ?? [];
    assert.equal(serials.length, 20);
    assert.equal(serials[0], serialNumber);
  });

  test('are limited to the last 256, and the message warns before one is dropped', () => {
    const messageOf = (given: CertificateFixture) => statusOf(given).status.conditions[0]?.message;
    assert.equal(messageOf(where(first, full.slice(1))), 'up to date: payments-server-tls');
    const message =
      'up to date: payments-server-tls; the list of replaced certificates of Secret payments-server-tls is full (256 unexpired): ' +
      'each new certificate drops the oldest one, which the annotation revoke can then no longer revoke';
    assert.equal(messageOf(where(first, full)), message);
    const more = replacedIn(where(first, full).issuedBy(signer));
    assert.deepEqual(more, [...full.slice(1), mine]);
  });

  test('include certificates that were issued while status could not be written, in every later state of the Secret', () => {
    const [lost, latest] = [certificate().issuedBy(signer), certificate().issuedBy(signer)];
    const leaves = [lost, latest].map((given) => {
      const { content } = given.secretRecord('server', authority);
      assert.ok('leaf' in content);
      return content.leaf;
    });
    const [serial, latestSerial] = leaves.map((leaf) => leaf.serialNumber);
    const inStatus = first.remembering({ secrets: [entry(first, 'server')] });
    const serialsOf = (given: CertificateFixture) => {
      const settled = outcomes(given).map((outcome) => ({ ...outcome, unrecorded: leaves }));
      const { status } = planCertificateStatus(given.record, settled, now, authority.bundle.roots);
      return status.secrets?.flatMap((one) => [one.serialNumber, ...(one.replaced ?? []).map((r) => r.serialNumber)]);
    };
    assert.deepEqual(serialsOf(inStatus.whereSecret('server', () => latest.secret('server'))), [
      latestSerial,
      serialNumber,
      serial,
    ]);
    assert.deepEqual(serialsOf(inStatus.withoutSecret('server')), [serialNumber, serial, latestSerial]);
    const damaged = inStatus.whereSecret('server', withData({ 'tls.crt': 'x' }));
    assert.deepEqual(serialsOf(damaged), [serialNumber, serial, latestSerial]);
  });

  test('have no entry for a certificate that another client restored, and one entry for each of the others', () => {
    const back = where(certificate().issuedBy(signer), [mine, ...full.slice(0, 2)]);
    const old = back.whereSecret('server', () => first.secret('server'));
    const { serialNumber: latest } = entry(back, 'server');
    const serials = ['1', '2', latest];
    assert.deepEqual(
      replacedIn(old)?.map((one) => one.serialNumber),
      serials,
    );
  });

  test('stay listed with the last certificate while the Secret is damaged by another client', () => {
    const damaged = where(first, full).whereSecret('server', withData({ 'tls.crt': 'x' }));
    const problems: Record<string, Problem> = { server: { reason: 'IssuanceFailed', message: 'no' } };
    assert.deepEqual(statusOf(damaged, { problems }).status.secrets, damaged.record.status.secrets);
  });

  test('do not include a pair that another client wrote', () => {
    const problems: Record<string, Problem> = { server: { reason: 'IssuanceFailed', message: 'no' } };
    for (const other of [root(), signer]) {
      const known = where(first, full.slice(0, 1));
      const strange = known.whereSecret('server', () => certificate().issuedBy(other).secret('server'));
      assert.deepEqual(statusOf(strange, { problems }).status.secrets, known.record.status.secrets);
    }
  });
});

const tryNow = 'to retry now: kubectl -n shop annotate mcert payments mtls-operator.io/retry="$(date +%s)" --overwrite';

describe('the condition Ready', () => {
  const conditionsOf = (...args: Parameters<typeof statusOf>) => statusOf(...args).status.conditions;
  const ready = { type: 'Ready', status: 'True', reason: 'Issued' } as const;
  const upToDate = { ...ready, message: 'up to date: payments-server-tls, payments-client-tls' };

  const reasons = [
    'AuthorityNotFound',
    'AuthorityNotReady',
    'Denied',
    'InvalidSpec',
    'SecretConflict',
    'IssuanceFailed',
  ] as const;
  for (const reason of reasons) {
    test(`is False with ${reason} when that blocks one role`, () => {
      const problems = { client: { reason, message: 'because' } };
      const message = 'client: because';
      assert.deepEqual(conditionsOf(issued, { problems }), [{ type: 'Ready', status: 'False', reason, message }]);
    });
  }

  test('has the reason of the first role and the messages of all', () => {
    const problems: Record<string, Problem> = {
      server: { reason: 'Denied', message: 'a' },
      client: { reason: 'SecretConflict', message: 'b' },
    };
    assert.deepEqual(conditionsOf(issued, { problems }), [
      { type: 'Ready', status: 'False', reason: 'Denied', message: 'server: a; client: b' },
    ]);
  });

  test('is True while the current certificate works and the next one fails; Issuing says why', () => {
    const problems: Record<string, Problem> = { server: { reason: 'IssuanceFailed', message: 'no', canWait: true } };
    const nextRetryTime = later(20_000);
    const failures = { server: { attempts: 3, lastFailureTime: now, nextRetryTime, message: 'no' } };
    const { status, requeueAt } = statusOf(issued, { problems, failures });
    const message = `server: no; next attempt at ${seconds(nextRetryTime)}; ${tryNow}`;
    assert.deepEqual(status.conditions, [
      upToDate,
      { type: 'Issuing', status: 'True', reason: 'IssuanceFailed', message },
    ]);
    assert.deepEqual(
      [status.failedIssuanceAttempts, status.lastFailureTime, status.nextRetryTime],
      [3, seconds(now), seconds(nextRetryTime)],
    );
    assert.deepEqual(requeueAt, nextRetryTime);
  });

  test('is True while a renewal waits for the root; Issuing says why', () => {
    const problems: Record<string, Problem> = {
      server: { reason: 'AuthorityNotReady', message: 'bad root', canWait: true },
    };
    assert.deepEqual(conditionsOf(issued, { problems }), [
      upToDate,
      { type: 'Issuing', status: 'True', reason: 'AuthorityNotReady', message: 'server: bad root' },
    ]);
  });

  test('keeps the condition Issuing once it was set, as False', () => {
    const set = { type: 'Issuing', status: 'True', reason: 'IssuanceFailed', message: 'no' } as const;
    const idle = { type: 'Issuing', status: 'False', reason: 'Issued', message: 'no certificate waits to be issued' };
    const lastTransitionTime = seconds(now);
    const given = issued.remembering({ conditions: [{ ...set, lastTransitionTime }] });
    assert.deepEqual(conditionsOf(given), [upToDate, idle]);
    const message = 'no certificate can be issued now; the condition Ready says why';
    const denied: Record<string, Problem> = { server: { reason: 'Denied', message: 'no' } };
    assert.deepEqual(conditionsOf(given, { problems: denied }).slice(1), [
      { type: 'Issuing', status: 'False', reason: 'Blocked', message },
    ]);
    assert.deepEqual(conditionsOf(issued), [upToDate]);
  });

  test('is False from the moment on at which a certificate expires', () => {
    const at = later(days(90));
    const expired = {
      type: 'Ready',
      status: 'False',
      reason: 'Expired',
      message: 'the certificate in Secret payments-server-tls, payments-client-tls has expired',
    };
    assert.deepEqual(conditionsOf(issued, { at }), [expired]);
    assert.deepEqual(conditionsOf(issued, { at: new Date(at.getTime() - 1) }), [upToDate]);
  });

  test('is False for a certificate that has expired even where its renewal was only due', () => {
    const problems: Record<string, Problem> = { server: { reason: 'IssuanceFailed', message: 'no', canWait: true } };
    const [condition] = conditionsOf(issued, { problems, at: later(days(90)) });
    assert.deepEqual([condition?.status, condition?.reason], ['False', 'Expired']);
  });

  test('is True while the root may not sign and the Secrets are up to date', () => {
    const view = notReady('RootExpired', 'x');
    const roles = outcomes(issued, {}, {}, view);
    const { conditions } = planCertificateStatus(issued.record, roles, now, authority.bundle.roots).status;
    assert.deepEqual(conditions, [upToDate]);
  });
});

describe('the condition Ready of a resource that is being deleted', () => {
  const held = issued.with({ deleting: true });
  const readyOf = (...args: Parameters<typeof statusOf>) => {
    const [condition] = statusOf(...args).status.conditions;
    return [condition?.status, condition?.reason, condition?.message];
  };

  test('says that it is being deleted and that its Secrets are up to date', () => {
    const message = 'being deleted; up to date: payments-server-tls, payments-client-tls';
    assert.deepEqual(readyOf(held), ['True', 'Issued', message]);
  });
  test('names the Secret that is missing and not created again', () => {
    const message = 'being deleted; the operator does not create missing Secrets again: payments-client-tls';
    assert.deepEqual(readyOf(held.withoutSecret('client')), ['False', 'Deleting', message]);
  });
  test('says what is wrong with an existing Secret', () => {
    const problems = { server: { reason: 'Denied', message: 'm' } } as const;
    const message = 'being deleted; server: m';
    assert.deepEqual(readyOf(held.withoutSecret('client'), { problems }), ['False', 'Denied', message]);
  });
});

describe('the failures of the roles', () => {
  const failed = (attempts: number, agoMs: number, inMs: number, message: string): FailedAttempts => ({
    attempts,
    lastFailureTime: later(-agoMs),
    nextRetryTime: later(inMs),
    message,
  });
  const problem = (message: string): Problem => ({ reason: 'IssuanceFailed', message });

  test('are listed by role, with a summary of the most attempts, the last failure and the next attempt', () => {
    const failures = { server: failed(5, 10_000, 60_000, 'a'), client: failed(1, 1000, 4000, 'b') };
    const problems = { server: problem('a'), client: problem('b') };
    const { status, requeueAt } = statusOf(issued, { failures, problems });
    assert.deepEqual(
      [status.failedIssuanceAttempts, status.lastFailureTime, status.nextRetryTime],
      [5, seconds(later(-1000)), seconds(later(4000))],
    );
    assert.deepEqual(status.failures, [
      {
        role: 'server',
        attempts: 5,
        lastFailureTime: seconds(later(-10_000)),
        nextRetryTime: seconds(later(60_000)),
        message: 'a',
      },
      {
        role: 'client',
        attempts: 1,
        lastFailureTime: seconds(later(-1000)),
        nextRetryTime: seconds(later(4000)),
        message: 'b',
      },
    ]);
    const issuing = status.conditions.find(({ type }) => type === 'Issuing');
    assert.equal(
      issuing?.message,
      `server: a; next attempt at ${seconds(later(60_000))}; client: b; next attempt at ${seconds(later(4000))}; ${tryNow}`,
    );
    assert.deepEqual(requeueAt, later(4000));
  });

  test('are listed only for the role that failed', () => {
    const failures = { client: failed(1, 0, 4000, 'b') };
    const { status } = statusOf(issued, { failures, problems: { client: problem('b') } });
    assert.deepEqual(
      status.failures?.map(({ role }) => role),
      ['client'],
    );
    assert.equal(status.conditions[0]?.message, 'client: b');
  });
});

describe('the retry that was handled last', () => {
  test('is the current one, and stays when the annotation is removed', () => {
    const asked = issued.with({ retryToken: 'a' });
    assert.equal(statusOf(asked).status.lastHandledRetry, 'a');
    assert.equal(statusOf(issued.remembering({ lastHandledRetry: 'a' })).status.lastHandledRetry, 'a');
    assert.equal(statusOf(issued).status.lastHandledRetry, undefined);
  });
});

describe('the token that was handled last', () => {
  const handled = (given: CertificateFixture): string | undefined => statusOf(given).status.lastHandledRotate;
  const done = two.rotating('a').issuedBy(signer);

  test('is the current one once every Secret was issued for it', () => {
    assert.equal(handled(done), 'a');
    assert.equal(handled(done.remembering({ lastHandledRotate: 'z' })), 'a');
  });

  test('is the previous one until every Secret was issued for the current one', () => {
    const half = done.whereSecret('client', withMarks('annotations', { [annotations.rotate]: 'z' }));
    assert.equal(handled(half.remembering({ lastHandledRotate: 'z' })), 'z');
    assert.equal(handled(half), undefined);
    assert.equal(handled(done.withoutSecret('client')), undefined);
  });

  test('is recorded for one Secret until the other is issued, so that the plan does not depend on the annotation of the Secret', () => {
    const half = done.whereSecret('client', withMarks('annotations', { [annotations.rotate]: 'z' }));
    const saidOf = (given: CertificateFixture) => statusOf(given).status.secrets?.map((one) => one.handledRotate);
    assert.deepEqual(saidOf(half), ['a', undefined]);
    const { secrets = [] } = statusOf(half).status;
    const without = half
      .remembering({ secrets })
      .whereSecret('server', withMarks('annotations', { [annotations.rotate]: undefined }));
    assert.deepEqual(saidOf(without), ['a', undefined]);
    assert.deepEqual(saidOf(without.withoutSecret('server')), ['a', undefined]);
    assert.deepEqual(saidOf(without.withoutToken()), ['a', undefined]);
    assert.deepEqual(saidOf(without.remembering({ lastHandledRotate: 'a' })), [undefined, undefined]);
    assert.deepEqual(saidOf(done), [undefined, undefined]);
  });

  test('is not a token that another client wrote onto the Secret of a certificate in status', () => {
    const asked = two.issuedBy(signer).reported(authority).rotating('a');
    const note = withMarks('annotations', { [annotations.rotate]: 'a', [annotations.revoke]: 'a' });
    const forged = asked.with({ revokeToken: 'a' }).whereSecret('server', note).whereSecret('client', note);
    const { status } = statusOf(forged);
    assert.equal(status.lastHandledRotate, undefined);
    assert.equal(status.lastHandledRevoke, undefined);
    assert.deepEqual(
      status.secrets?.map(({ handledRotate, handledRevoke }) => [handledRotate, handledRevoke]),
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    );
  });

  test('stays when the annotation is removed, and is absent when there never was one', () => {
    assert.equal(handled(done.withoutToken().remembering({ lastHandledRotate: 'a' })), 'a');
    assert.equal(handled(issued), undefined);
  });
});

describe('the resource is reconciled again', () => {
  test('when the first certificate is due', () => {
    const [first] = rolesOf(issued.record.spec)
      .map((role) => entry(issued, role).renewalTime)
      .sort();
    assert.deepEqual(statusOf(issued).requeueAt, new Date(first ?? ''));
  });

  test('when a certificate expires, if its renewal time has passed', () => {
    assert.deepEqual(statusOf(issued, { at: later(days(89)) }).requeueAt, later(days(90)));
  });

  test('never, if every time has passed', () => {
    assert.equal(statusOf(issued, { at: later(days(90)) }).requeueAt, undefined);
    assert.equal(statusOf(two).requeueAt, undefined);
  });

  test('every half minute while a foreign Secret has its name, because foreign Secrets are not watched', () => {
    const problems: Record<string, Problem> = { server: { reason: 'SecretConflict', message: 'x' } };
    assert.deepEqual(statusOf(issued, { problems }).requeueAt, later(30_000));
  });

  describe('within ten minutes while a role is blocked by', () => {
    // Every reason except the two that are not problems.
    const reasons: Record<Exclude<CertificateReason, 'Issued'>, true> = {
      Pending: true,
      AuthorityNotFound: true,
      AuthorityNotReady: true,
      Denied: true,
      NameConstrained: true,
      InvalidSpec: true,
      SecretConflict: true,
      Deleting: true,
      SecretContested: true,
      SecretImmutable: true,
      CrlShareExhausted: true,
      CrlUnavailable: true,
      KeystorePasswordNotFound: true,
      KeystorePasswordInvalid: true,
      IssuanceFailed: true,
      NamespaceUnreadable: true,
      Expired: true,
    };
    for (const reason of Object.keys(reasons) as (keyof typeof reasons)[]) {
      test(reason, () => {
        for (const canWait of [false, true]) {
          const problems: Record<string, Problem> = { server: { reason, message: 'x', canWait } };
          const { requeueAt } = statusOf(issued, { problems });
          assert.ok(requeueAt !== undefined && requeueAt <= later(600_000) && requeueAt > now, String(requeueAt));
        }
      });
    }
  });

  test('when the next attempt is due', () => {
    const failures = { server: { attempts: 1, lastFailureTime: now, nextRetryTime: later(4800), message: 'no' } };
    assert.deepEqual(statusOf(issued, { failures }).requeueAt, later(4800));
  });
});
