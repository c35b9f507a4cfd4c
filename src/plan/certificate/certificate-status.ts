import type { MtlsCertificateStatus } from '../../api/types.ts';
import type { Certificate, Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import type { DesiredCondition } from '../records/condition.ts';
import { hashFraction } from '../timing/jitter.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { AuthorityState } from './authority-state.ts';
import { deletingCondition, issuingCondition, readyCondition } from './certificate-conditions.ts';
import { nextReissueTime, rotationIsPending } from './issue-reason.ts';
import type { ObservedRole } from './observed-certificate.ts';
import { handledByAll, handledByOne, type RequestVerb } from './request-token.ts';
import { revocationIsPending } from './revocation-request.ts';
import type { RoleOutcome } from './role-outcome.ts';
import { contestedProblem, isContested, repairRecheckTimes } from './secret-contention.ts';
import { type SecretStatus, secretStatus } from './secret-status.ts';

/** The desired status, without the transition times of its conditions. */
export type DesiredCertificateStatus = Omit<MtlsCertificateStatus, 'conditions'> & {
  readonly conditions: readonly DesiredCondition[];
};

/** A status, and when to reconcile the resource again without an event. */
export interface StatusPlan {
  readonly status: DesiredCertificateStatus;
  readonly requeueAt?: Date;
}

/** How often to check whether a foreign Secret is gone. The operator does not watch foreign Secrets. */
const conflictPollMs = 30_000;

/**
 * A blocked role waits for an event of its authority, its namespace, its Secret or a password. The operator also
 * reconciles it every five to ten minutes, so that a missed event does not leave it blocked.
 */
const blockedPollMs = 600_000;

/**
 * The status of a resource, from the outcomes of its roles. It depends on the observed content and the clock, not on
 * what was attempted.
 * @param roots the roots that the authority trusts; empty while its root may not sign
 * @param authority the observed authority; while it is unknown, no certificate counts as listed on a CRL
 */
export function planCertificateStatus(
  certificate: CertificateRecord,
  settled: readonly RoleOutcome[],
  now: Date,
  roots: readonly Certificate[],
  authority: AuthorityState = { state: 'unknown' },
): StatusPlan {
  const outcomes = settled.map((outcome) => withContention(certificate, outcome, now));
  const answers = settled.map(({ role }) => fulfilledRequests(certificate, role, authority, now));
  const handled = handledTokens(certificate, answers);
  const entries = settled.flatMap((outcome, i) =>
    secretStatus(certificate, outcome, now, roots).map((entry) => ({
      ...entry,
      ...handledTokensOf(certificate, entry.role, answers[i] ?? noneFulfilled, handled),
    })),
  );
  // A resource whose spec is not valid keeps its Secrets, so status keeps their entries.
  const secrets = settled.length === 0 ? (certificate.status.secrets ?? []) : entries;
  const known = readyCondition(certificate, outcomes, secrets, now);
  const ready = certificate.deleting ? deletingCondition(outcomes, known) : known;
  const renewalTimes = secrets.map((entry) => entry.renewalTime);
  const status: DesiredCertificateStatus = {
    observedGeneration: certificate.generation,
    conditions: [ready, ...issuingCondition(certificate, outcomes, ready)],
    secrets,
    ...earliest(
      'notAfter',
      secrets.map((entry) => entry.notAfter),
    ),
    ...earliest('renewalTime', renewalTimes),
    ...handled,
    ...handledRetry(certificate),
    ...failureStatus(outcomes),
  };
  return { status, ...requeueTime(certificate, outcomes, secrets, authority, now) };
}

/** A Secret that was repaired too often stays reported as contested until it has been intact for a while. */
const withContention = (certificate: CertificateRecord, outcome: RoleOutcome, now: Date): RoleOutcome =>
  (outcome.problem === undefined || outcome.problem.canWait === true) && isContested(certificate, outcome.role, now)
    ? { ...outcome, problem: contestedProblem(certificate, outcome.role) }
    : outcome;

/** The failures of each role, and a summary: the most attempts, the last failure, the next attempt. */
function failureStatus(
  outcomes: readonly RoleOutcome[],
): Pick<MtlsCertificateStatus, 'failures' | 'failedIssuanceAttempts' | 'lastFailureTime' | 'nextRetryTime'> {
  const failures = outcomes.flatMap(({ role: { role }, failedAttempts }) =>
    failedAttempts === undefined
      ? []
      : [
          {
            role,
            attempts: failedAttempts.attempts,
            lastFailureTime: timestamp(failedAttempts.lastFailureTime),
            nextRetryTime: timestamp(failedAttempts.nextRetryTime),
            message: failedAttempts.message,
          },
        ],
  );
  // RFC 3339 in one zone and precision sorts as text.
  const lastFailureTime = failures
    .map((one) => one.lastFailureTime)
    .sort()
    .at(-1);
  const nextRetryTime = failures.map((one) => one.nextRetryTime).sort()[0];
  if (lastFailureTime === undefined || nextRetryTime === undefined) return {};
  const failedIssuanceAttempts = Math.max(...failures.map(({ attempts }) => attempts));
  return { failures, failedIssuanceAttempts, lastFailureTime, nextRetryTime };
}

/** A reconcile that sees a new token of the annotation retry ignores earlier delays, so the token is handled. */
function handledRetry({ retryToken, status }: CertificateRecord): Pick<MtlsCertificateStatus, 'lastHandledRetry'> {
  const lastHandledRetry = retryToken ?? status.lastHandledRetry;
  return lastHandledRetry === undefined ? {} : { lastHandledRetry };
}

/** Whether the Secret of a role was issued for the current tokens. */
type FulfilledRequests = Readonly<Record<RequestVerb, boolean>>;
const noneFulfilled: FulfilledRequests = { rotate: false, revoke: false };

function fulfilledRequests(
  certificate: CertificateRecord,
  { role, secret }: ObservedRole,
  authority: AuthorityState,
  now: Date,
): FulfilledRequests {
  const ready = authority.state === 'ready' ? authority : undefined;
  return {
    rotate: certificate.rotateToken !== undefined && !rotationIsPending(certificate, role, secret),
    revoke: certificate.revokeToken !== undefined && !revocationIsPending(certificate, role, secret, ready, now),
  };
}

/** The current tokens once every Secret of the resource was issued for them, before that the previous ones. */
function handledTokens(certificate: CertificateRecord, answers: readonly FulfilledRequests[]) {
  const isAnswered = (verb: RequestVerb) => answers.length > 0 && answers.every((one) => one[verb]);
  return {
    ...handledByAll('rotate', certificate, isAnswered('rotate')),
    ...handledByAll('revoke', certificate, isAnswered('revoke')),
  };
}

const handledTokensOf = (
  certificate: CertificateRecord,
  role: Role,
  { rotate, revoke }: FulfilledRequests,
  ofAll: MtlsCertificateStatus,
) => ({
  ...handledByOne('rotate', certificate, role, { isAnswered: rotate, ofAll }),
  ...handledByOne('revoke', certificate, role, { isAnswered: revoke, ofAll }),
});

function earliest<Key extends 'notAfter' | 'renewalTime'>(
  key: Key,
  times: readonly string[],
): Partial<Record<Key, string>> {
  // RFC 3339 in one zone and precision sorts as text.
  const [first] = [...times].sort();
  return first === undefined ? {} : ({ [key]: first } as Record<Key, string>);
}

/** When the certificate in a Secret must be issued again because of the CAs above it. */
const reissueTimeOf = (
  certificate: CertificateRecord,
  { secret }: ObservedRole,
  authority: AuthorityState,
): Date | undefined =>
  secret === undefined || !('leaf' in secret.content) || authority.state !== 'ready'
    ? undefined
    : nextReissueTime(secret.content.leaf, authority, certificate);

function requeueTime(
  certificate: CertificateRecord,
  outcomes: readonly RoleOutcome[],
  secrets: readonly SecretStatus[],
  authority: AuthorityState,
  now: Date,
): { requeueAt?: Date } {
  const conflict = outcomes.some(({ problem }) => problem?.reason === 'SecretConflict');
  const isBlocked = outcomes.some(({ problem }) => problem !== undefined);
  const moments = [
    ...secrets.flatMap((entry) => [new Date(entry.renewalTime), new Date(entry.notAfter)]),
    // Reads the certificate that the Secret holds now: a step that wrote other content must not lose the time of the
    // next issue.
    ...outcomes.flatMap(({ role }) => reissueTimeOf(certificate, role, authority) ?? []),
    ...outcomes.flatMap(({ failedAttempts }) => failedAttempts?.nextRetryTime ?? []),
    ...outcomes.flatMap(({ role }) => repairRecheckTimes(certificate, role)),
    ...(conflict ? [new Date(now.getTime() + conflictPollMs)] : []),
    ...(isBlocked ? [new Date(now.getTime() + blockedPollMs * (1 - hashFraction(certificate.uid) / 2))] : []),
  ].filter((moment) => moment > now);
  return moments.length === 0 ? {} : { requeueAt: new Date(Math.min(...moments.map((moment) => moment.getTime()))) };
}
