import { annotations } from '../../api/constants.ts';
import type { MtlsCertificateStatus } from '../../api/types.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { ReadyAuthority } from './authority-state.ts';
import { isDamaged, rotationIsPending } from './issue-reason.ts';
import type { ObservedCertificate, ObservedRole } from './observed-certificate.ts';
import type { Repairs } from './repair-backoff.ts';
import { forgottenAt, freeRepairs, isForgotten, nextRepairTime } from './repair-backoff.ts';
import { revocationIsPending } from './revocation-request.ts';
import type { SecretStep } from './secret-step.ts';

/** The seed that makes the delays of a role's Secret differ from the delays of other Secrets. */
const seedOf = ({ uid }: CertificateRecord, { role }: ObservedRole): string => `${uid}/${role}`;

/**
 * True when a step only undoes a change by another client. False when the step answers a user's request, renews a
 * certificate that is due, or follows a change of the root.
 */
export function isRepair(
  { certificate, authority }: ObservedCertificate,
  role: ObservedRole,
  step: SecretStep,
  now: Date,
): boolean {
  const ready = authority.state === 'ready' ? authority : undefined;
  if (step.step === 'keep' || step.step === 'blocked' || hasPendingRequest(certificate, role, ready, now)) return false;
  if (step.step === 'update' && step.restores !== true) {
    return role.secret?.modifiedByOthers === true && role.repairs?.sourcesChanged !== true;
  }
  // The operator never makes a Secret immutable and never changes its type.
  if (role.secret?.writable === false) return true;
  return isDamaged({ certificate, role, ...(ready === undefined ? {} : { authority: ready }) });
}

/** True while a user's request is pending. Such a request is never delayed. */
const hasPendingRequest = (
  certificate: CertificateRecord,
  { role, secret }: ObservedRole,
  authority: ReadyAuthority | undefined,
  now: Date,
): boolean =>
  certificate.generation !== certificate.status.observedGeneration ||
  retryIsPending(certificate) ||
  rotationIsPending(certificate, role, secret) ||
  revocationIsPending(certificate, role, secret, authority, now);

/** True while the annotation retry has a value that the operator has not acted on. */
export const retryIsPending = ({ retryToken, status }: CertificateRecord): boolean =>
  retryToken !== undefined && retryToken !== status.lastHandledRetry;

/** The step, or why it is delayed: the Secret was repaired too often recently. */
export function withRepairBackoff(
  observed: ObservedCertificate,
  role: ObservedRole,
  step: SecretStep,
  now: Date,
): SecretStep {
  const { repairs } = role;
  if (repairs === undefined || !isRepair(observed, role, step, now)) return step;
  if (nextRepairTime(repairs, seedOf(observed.certificate, role)) <= now) return step;
  return { step: 'blocked', ...contestedProblem(observed.certificate, role), canWait: false };
}

/** True while an intact Secret must stay intact for longer before the contention counts as over. */
export const isContested = (certificate: CertificateRecord, role: ObservedRole, now: Date): boolean =>
  role.repairs !== undefined &&
  role.repairs.count > freeRepairs &&
  nextRepairTime(role.repairs, seedOf(certificate, role)) > now;

/** The message does not change between repairs, so that it causes one event and one write of status. */
export function contestedProblem(
  { namespace, name }: CertificateRecord,
  { role, secretName, secret, repairs }: ObservedRole,
) {
  const isGone = secret === undefined;
  const by = repairs?.changedBy ?? 'a client that its managedFields do not name';
  const what = isGone
    ? 'is deleted again and again by another client (the audit log of the API server names it)'
    : `is changed again and again by ${by}`;
  const message =
    `Secret ${secretName} ${what}: stop that client, or set ${role}.secretName to another name. The operator repairs the ` +
    `Secret after pauses that grow to 20 minutes; to repair it now: ` +
    `kubectl -n ${namespace} annotate mcert ${name} ${annotations.retry}="$(date +%s)" --overwrite`;
  return { reason: 'SecretContested', message } as const;
}

type SecretStatus = NonNullable<MtlsCertificateStatus['secrets']>[number];

/**
 * Status records the repairs once the free ones are used up, so that a restart does not allow more of them. The record
 * disappears when the repairs no longer count.
 */
export const repairStatus = (repairs: Repairs | undefined, now: Date): Pick<SecretStatus, 'repairs'> =>
  repairs === undefined || repairs.count < freeRepairs || isForgotten(repairs, now)
    ? {}
    : {
        repairs: {
          count: repairs.count,
          lastTime: timestamp(repairs.lastTime),
          ...(repairs.changedBy === undefined ? {} : { changedBy: repairs.changedBy }),
        },
      };

/**
 * The repairs of a role's Secret in status. Undefined when there are none, or when the operator cannot have written the
 * entry.
 */
export function repairsInStatus(
  { secrets }: MtlsCertificateStatus,
  { role, secretName }: Pick<ObservedRole, 'role' | 'secretName'>,
  now: Date,
): Repairs | undefined {
  const entry = secrets?.find((one) => one.role === role && one.secretName === secretName)?.repairs;
  if (entry === undefined) return undefined;
  const lastTime = new Date(entry.lastTime);
  if (Number.isNaN(lastTime.getTime()) || entry.count < freeRepairs) return undefined;
  const { changedBy } = entry;
  return {
    count: entry.count,
    // A time in the future would delay repairs until then.
    lastTime: lastTime > now ? now : lastTime,
    ...(changedBy === undefined ? {} : { changedBy }),
  };
}

/** When to reconcile a role again because of its repairs. */
export function repairRecheckTimes(certificate: CertificateRecord, role: ObservedRole): Date[] {
  const { repairs } = role;
  if (repairs === undefined || repairs.count < freeRepairs) return [];
  return [nextRepairTime(repairs, seedOf(certificate, role)), forgottenAt(repairs.lastTime)];
}
