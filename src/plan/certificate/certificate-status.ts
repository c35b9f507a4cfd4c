import { annotations, type CertificateReason } from '../../api/constants.ts';
import type { MtlsCertificateStatus } from '../../api/types.ts';
import { anchorId, type Certificate, type LeafRecord, type Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { type DesiredCondition, falseIfSet } from '../records/condition.ts';
import { isOurs } from '../records/ownership.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import { hashFraction } from '../timing/jitter.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { AuthorityState } from './authority-state.ts';
import type { FailedAttempts } from './failed-attempts.ts';
import { nextReissueTime, renewalSeed, rotationIsPending } from './issue-reason.ts';
import type { ObservedRole } from './observed-certificate.ts';
import { renewalTime } from './renewal.ts';
import { handledByAll, handledByOne, type RequestVerb } from './request-token.ts';
import { revocationIsPending } from './revocation-request.ts';
import { contestedProblem, isContested, repairRecheckTimes, repairStatus } from './secret-contention.ts';
import { recordedRevision } from './secret-metadata.ts';

/** How a role stands after its step was carried out. */
export interface RoleOutcome {
  /** With the Secret as it is now. */
  readonly role: ObservedRole;
  readonly problem?: {
    readonly reason: CertificateReason;
    readonly message: string;
    /** The certificate in place is right for spec and only due: it does its work until it expires. */
    readonly canWait?: boolean;
  };
  /** What was issued into the Secret since status was written last: its latest write has failed. */
  readonly unrecorded?: readonly LeafRecord[];
  /** The failed attempts up to now, the one of this step included. */
  readonly failedAttempts?: FailedAttempts;
}

/** The status to be, but for the times of transitions. */
export type DesiredCertificateStatus = Omit<MtlsCertificateStatus, 'conditions'> & {
  readonly conditions: readonly DesiredCondition[];
};

/** A status, and when the resource has to be looked at again without anything having changed. */
export interface StatusPlan {
  readonly status: DesiredCertificateStatus;
  readonly requeueAt?: Date;
}

/** A foreign Secret is not watched: how often to look whether it is gone. */
const conflictPollMs = 30_000;

/**
 * A blocked role waits for an event of its authority, its namespace, its Secret or a password. The operator also reads every
 * blocked role again after five to ten minutes, so that a missed event does not leave it blocked.
 */
const blockedPollMs = 600_000;

/**
 * The status of a resource from what has become of its roles. Depends on bytes and clock, never on what was attempted.
 * @param roots the roots that the authority trusts; none while its root is bad
 * @param authority what was observed of the authority; without it, nothing says that a certificate is on a CRL
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
  // A resource that cannot be read, or asks for nothing, keeps its Secrets. So status keeps what it knows of them.
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

/** A Secret that was repaired once too often has to stay right for a while before it counts as left alone. */
const withContention = (certificate: CertificateRecord, outcome: RoleOutcome, now: Date): RoleOutcome =>
  (outcome.problem === undefined || outcome.problem.canWait === true) && isContested(certificate, outcome.role, now)
    ? { ...outcome, problem: contestedProblem(certificate, outcome.role) }
    : outcome;

type SecretStatus = NonNullable<MtlsCertificateStatus['secrets']>[number];

function secretStatus(
  certificate: CertificateRecord,
  outcome: RoleOutcome,
  now: Date,
  roots: readonly Certificate[],
): SecretStatus[] {
  const { role, secretName, secret } = outcome.role;
  const known = certificate.status.secrets?.find((entry) => entry.role === role);
  const repairs = repairStatus(outcome.role.repairs, now);
  const unrecorded = unrecordedIn(outcome, known, roots);
  // What was issued is remembered while the Secret is lost, damaged or taken over: pods use what they have loaded from it,
  // until it expires.
  const kept = known?.secretName === secretName ? [retainedStatus(known, unrecorded, repairs, now)] : [];
  if (secret === undefined || !isOurs(secret, certificate, role)) return kept;
  if (!('leaf' in secret.content) || isForeignLeaf(outcome, secret, kept[0])) return kept;
  const { leaf } = secret.content;
  // While the root is bad its certificate is not known; status remembers it for a leaf that it has seen.
  const remembered = known?.fingerprint === leaf.fingerprint ? known : undefined;
  const root = roots.find((one) => anchorId(one) === leaf.root)?.fingerprint ?? remembered?.rootFingerprint;
  const issuerId = leaf.issuer ?? remembered?.issuerId;
  // A leaf of an unknown root is about to be replaced, or blocked from it; status does not vouch for it.
  if (root === undefined) return kept;
  const replaced = replacedBy(leaf.serialNumber, known, unrecorded, now);
  return [
    {
      role,
      secretName,
      serialNumber: leaf.serialNumber,
      fingerprint: leaf.fingerprint,
      rootFingerprint: root,
      ...(issuerId === undefined ? {} : { issuerId }),
      publicKeyFingerprint: leaf.publicKey,
      notBefore: timestamp(leaf.notBefore),
      notAfter: timestamp(leaf.notAfter),
      renewalTime: timestamp(renewalTime(leaf, certificate.spec, renewalSeed(certificate, role))),
      revision: recordedRevision(secret) ?? 1,
      ...(replaced.length === 0 ? {} : { replaced }),
      ...repairs,
    },
  ];
}

/** What status goes on saying of a certificate that is not in the Secret any more. */
function retainedStatus(
  entry: SecretStatus,
  unrecorded: readonly Replaced[],
  repairs: Pick<SecretStatus, 'repairs'>,
  now: Date,
): SecretStatus {
  const { repairs: _, handledRotate: __, handledRevoke: ___, replaced = [], ...others } = entry;
  const all =
    unrecorded.length === 0 ? replaced : boundedReplaced([...replaced, ...unrecorded], entry.serialNumber, now);
  return { ...others, ...(all.length === 0 ? {} : { replaced: all }), ...repairs };
}

/** The certificates that reached the Secret and are in status in no form yet. */
function unrecordedIn(
  { unrecorded = [] }: RoleOutcome,
  known: SecretStatus | undefined,
  roots: readonly Certificate[],
): Replaced[] {
  const listed = new Set([known?.serialNumber, ...(known?.replaced ?? []).map((one) => one.serialNumber)]);
  return unrecorded.flatMap(({ serialNumber, root, issuer, notAfter }) => {
    const rootFingerprint = roots.find((one) => anchorId(one) === root)?.fingerprint;
    if (rootFingerprint === undefined || listed.has(serialNumber)) return [];
    const issuerId = issuer === undefined ? {} : { issuerId: issuer };
    return [{ serialNumber, rootFingerprint, ...issuerId, notAfter: timestamp(notAfter) }];
  });
}

/**
 * True for a leaf that the operator has neither written nor accepted: another writer has put it there, and it is about to be
 * replaced. The revision on the Secret shows a leaf that the operator wrote a moment before it was ended.
 */
const isForeignLeaf = ({ problem }: RoleOutcome, secret: SecretRecord, known: SecretStatus | undefined): boolean =>
  problem !== undefined &&
  problem.canWait !== true &&
  known !== undefined &&
  'leaf' in secret.content &&
  secret.content.leaf.fingerprint !== known.fingerprint &&
  recordedRevision(secret) !== known.revision + 1;

/** How many of those that were replaced are remembered, to be revoked if need be: some 50 KB in a status. */
const maxReplaced = 256;

type Replaced = NonNullable<SecretStatus['replaced']>[number];

/** Those that were in a Secret before. They change with the certificate alone, so that time by itself writes nothing. */
function replacedBy(
  serialNumber: string,
  known: SecretStatus | undefined,
  unrecorded: readonly Replaced[],
  now: Date,
): readonly Replaced[] {
  const before = known?.replaced ?? [];
  if (known === undefined || known.serialNumber === serialNumber) {
    const more = unrecorded.filter((one) => one.serialNumber !== serialNumber);
    return more.length === 0 ? before : boundedReplaced([...before, ...more], serialNumber, now);
  }
  const { rootFingerprint, issuerId, notAfter } = known;
  const issuer = issuerId === undefined ? {} : { issuerId };
  const replaced = { serialNumber: known.serialNumber, rootFingerprint, ...issuer, notAfter };
  return boundedReplaced([...before, replaced, ...unrecorded], serialNumber, now);
}

/** Another writer may put a certificate back that was replaced: it is listed once, and not while it is in place. */
const boundedReplaced = (all: readonly Replaced[], serialNumber: string, now: Date): Replaced[] =>
  all
    .filter((one, i) => all.findLastIndex((other) => other.serialNumber === one.serialNumber) === i)
    .filter((one) => one.serialNumber !== serialNumber && new Date(one.notAfter) > now)
    .slice(-maxReplaced);

function readyCondition(
  { specProblem }: CertificateRecord,
  outcomes: readonly RoleOutcome[],
  secrets: readonly SecretStatus[],
  now: Date,
): DesiredCondition {
  if (outcomes.length === 0) {
    const message = specProblem ?? 'spec asks for nothing: at least one of server, client and peer is needed';
    return { type: 'Ready', status: 'False', reason: 'InvalidSpec', message };
  }
  const problems = outcomes.flatMap(({ role, problem }) =>
    problem === undefined || problem.canWait === true ? [] : [{ role: role.role, ...problem }],
  );
  const [first] = problems;
  if (first !== undefined) {
    const message = problems.map(({ role, message }) => `${role}: ${message}`).join('; ');
    return { type: 'Ready', status: 'False', reason: first.reason, message };
  }
  const expired = secrets.filter(({ notAfter }) => new Date(notAfter) <= now).map(({ secretName }) => secretName);
  if (expired.length > 0) {
    const message = `the certificate in ${expired.join(', ')} has expired`;
    return { type: 'Ready', status: 'False', reason: 'Expired', message };
  }
  const names = secrets.map(({ secretName }) => secretName).join(', ');
  const message = [`up to date: ${names}`, ...secrets.flatMap(replacedListWarning)].join('; ');
  return { type: 'Ready', status: 'True', reason: 'Issued', message };
}

/** The condition of a resource that is being deleted, and held by a finalizer. */
function deletingCondition(outcomes: readonly RoleOutcome[], ready: DesiredCondition): DesiredCondition {
  const gone = outcomes
    .filter(({ role: { secret, foreign } }) => secret === undefined && foreign === undefined)
    .map(({ role }) => role.secretName);
  if (gone.length === 0 || ready.status === 'False') return { ...ready, message: `being deleted; ${ready.message}` };
  const message = `being deleted; a Secret that is gone is not created again: ${gone.join(', ')}`;
  return { ...ready, status: 'False', reason: 'Deleting', message };
}

/** Says that the next certificate has the oldest one forgotten, which can then not be revoked by annotation any more. */
const replacedListWarning = ({ secretName, replaced = [] }: SecretStatus): string[] =>
  replaced.length < maxReplaced
    ? []
    : [
        `${maxReplaced} certificates that were replaced in ${secretName} have not expired: each one more has the oldest ` +
          'forgotten, which the annotation revoke then does not reach',
      ];

/** In the message of the condition Issuing: when a role that has failed is tried again. */
export const nextAttempt = /; next attempt at [^;\s]+/g;

/**
 * The condition Issuing: True while the attempts of a role fail, or the next certificate of a role with a working one cannot
 * be issued yet. It is absent until it was True once.
 */
function issuingCondition(
  { namespace, name, status }: CertificateRecord,
  outcomes: readonly RoleOutcome[],
  ready: DesiredCondition,
): DesiredCondition[] {
  const delayed = outcomes.filter(
    ({ failedAttempts, problem }) => failedAttempts !== undefined || problem?.canWait === true,
  );
  const [first] = delayed;
  if (first === undefined) {
    const [reason, message] =
      ready.status === 'True'
        ? (['Issued', 'no certificate waits to be issued'] as const)
        : (['Blocked', 'no certificate can be issued now; the condition Ready has the reason'] as const);
    return falseIfSet(status, { type: 'Issuing', reason, message });
  }
  const messages = delayed.map(({ role, problem, failedAttempts }) => {
    const retry = failedAttempts === undefined ? '' : `; next attempt at ${timestamp(failedAttempts.nextRetryTime)}`;
    return `${role.role}: ${problem?.message ?? 'waiting'}${retry}`;
  });
  const hint = delayed.some(({ failedAttempts }) => failedAttempts !== undefined)
    ? `; to try now: kubectl -n ${namespace} annotate mcert ${name} ${annotations.retry}="$(date +%s)" --overwrite`
    : '';
  const message = messages.join('; ') + hint;
  return [{ type: 'Issuing', status: 'True', reason: first.problem?.reason ?? 'Pending', message }];
}

/** The failures of each role, and in short: the most attempts, the last failure, the next attempt of all. */
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

/** A retry is handled by the reconcile that has seen its token: no delay of before has counted in it. */
function handledRetry({ retryToken, status }: CertificateRecord): Pick<MtlsCertificateStatus, 'lastHandledRetry'> {
  const lastHandledRetry = retryToken ?? status.lastHandledRetry;
  return lastHandledRetry === undefined ? {} : { lastHandledRetry };
}

/** Whether the Secret of a role answers the present tokens. */
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

/** The present tokens, once every Secret of the resource was issued for them; those handled before, until then. */
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

/** When the certificate in a Secret has to be issued again because of the CAs above it. */
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
    // Asked of the certificate that is there now: a step that wrote something else into the Secret must not lose the moment.
    ...outcomes.flatMap(({ role }) => reissueTimeOf(certificate, role, authority) ?? []),
    ...outcomes.flatMap(({ failedAttempts }) => failedAttempts?.nextRetryTime ?? []),
    ...outcomes.flatMap(({ role }) => repairRecheckTimes(certificate, role)),
    ...(conflict ? [new Date(now.getTime() + conflictPollMs)] : []),
    ...(isBlocked ? [new Date(now.getTime() + blockedPollMs * (1 - hashFraction(certificate.uid) / 2))] : []),
  ].filter((moment) => moment > now);
  return moments.length === 0 ? {} : { requeueAt: new Date(Math.min(...moments.map((moment) => moment.getTime()))) };
}
