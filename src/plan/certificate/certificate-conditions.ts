import { annotations } from '../../api/constants.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { type DesiredCondition, falseIfSet } from '../records/condition.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { RoleOutcome } from './role-outcome.ts';
import { maxReplaced, type SecretStatus } from './secret-status.ts';

export function readyCondition(
  { specProblem }: CertificateRecord,
  outcomes: readonly RoleOutcome[],
  secrets: readonly SecretStatus[],
  now: Date,
): DesiredCondition {
  if (outcomes.length === 0) {
    const message = specProblem ?? 'spec requests no certificate: set at least one of server, client and peer';
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
    const message = `the certificate in Secret ${expired.join(', ')} has expired`;
    return { type: 'Ready', status: 'False', reason: 'Expired', message };
  }
  const names = secrets.map(({ secretName }) => secretName).join(', ');
  const message = [`up to date: ${names}`, ...secrets.flatMap(replacedListWarning)].join('; ');
  return { type: 'Ready', status: 'True', reason: 'Issued', message };
}

/** The condition Ready of a resource that is being deleted and held by a finalizer. */
export function deletingCondition(outcomes: readonly RoleOutcome[], ready: DesiredCondition): DesiredCondition {
  const gone = outcomes
    .filter(({ role: { secret, foreign } }) => secret === undefined && foreign === undefined)
    .map(({ role }) => role.secretName);
  if (gone.length === 0 || ready.status === 'False') return { ...ready, message: `being deleted; ${ready.message}` };
  const message = `being deleted; the operator does not create missing Secrets again: ${gone.join(', ')}`;
  return { ...ready, status: 'False', reason: 'Deleting', message };
}

/**
 * Warns that the next certificate drops the oldest entry from `replaced`. The annotation revoke cannot revoke a dropped
 * certificate.
 */
const replacedListWarning = ({ secretName, replaced = [] }: SecretStatus): string[] =>
  replaced.length < maxReplaced
    ? []
    : [
        `the list of replaced certificates of Secret ${secretName} is full (${maxReplaced} unexpired): each new certificate drops ` +
          'the oldest one, which the annotation revoke can then no longer revoke',
      ];

/** The part of the message of the condition Issuing that says when a failed role is retried. */
export const nextAttempt = /; next attempt at [^;\s]+/g;

/**
 * The condition Issuing. It is True while a role's attempts fail, or while a role has a working certificate but its
 * next one cannot be issued yet. The condition is absent until it was True once.
 */
export function issuingCondition(
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
        : (['Blocked', 'no certificate can be issued now; the condition Ready says why'] as const);
    return falseIfSet(status, { type: 'Issuing', reason, message });
  }
  const messages = delayed.map(({ role, problem, failedAttempts }) => {
    const retry = failedAttempts === undefined ? '' : `; next attempt at ${timestamp(failedAttempts.nextRetryTime)}`;
    return `${role.role}: ${problem?.message ?? 'waiting'}${retry}`;
  });
  const hint = delayed.some(({ failedAttempts }) => failedAttempts !== undefined)
    ? `; to retry now: kubectl -n ${namespace} annotate mcert ${name} ${annotations.retry}="$(date +%s)" --overwrite`
    : '';
  const message = messages.join('; ') + hint;
  return [{ type: 'Issuing', status: 'True', reason: first.problem?.reason ?? 'Pending', message }];
}
