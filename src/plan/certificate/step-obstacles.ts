import type { CertificateReason } from '../../api/reasons.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { conflictMessage, isOurs } from '../records/ownership.ts';
import { rolesOf, secretNameOf } from '../records/roles.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import type { ReadyAuthority } from './authority-state.ts';
import { deferrableReasons } from './issue-reason.ts';
import { bundleIsGood, outputSources } from './needed-step.ts';
import type { ObservedCertificate, ObservedRole } from './observed-certificate.ts';
import { unlistedLeavesProblem } from './revocation-gate.ts';
import { hasOutputs, outputsProblem } from './secret-outputs.ts';
import type { BlockedStep, SecretStep } from './secret-step.ts';
/** A step that stays blocked until spec changes or the Secret's name gets another owner. */
export const blocked = (reason: CertificateReason, message: string): BlockedStep => ({
  step: 'blocked',
  reason,
  message,
  canWait: false,
});

/** Why a role may not use its Secret name. Undefined if it may. */
export function nameObstacle({ certificate }: ObservedCertificate, role: ObservedRole): BlockedStep | undefined {
  const { secret, foreign, secretName, secretNameOwner } = role;
  const rival = roleWithSameSecret(certificate, role);
  if (rival !== undefined) {
    return blocked(
      'InvalidSpec',
      `role ${rival} uses Secret ${secretName} too; set ${role.role}.secretName to another name`,
    );
  }
  if (secretNameOwner !== undefined) {
    return blocked(
      'SecretConflict',
      `Secret ${secretName} belongs to ${secretNameOwner}; set ${role.role}.secretName to another name`,
    );
  }
  const theirs = secret !== undefined && !isOurs(secret, certificate, role.role) ? secret : foreign;
  return theirs && blocked('SecretConflict', conflictMessage(theirs, certificate, role.role));
}

interface Attempt {
  readonly observed: ObservedCertificate;
  readonly role: ObservedRole;
  readonly step: Exclude<SecretStep, { step: 'keep' | 'blocked' }>;
  readonly now: Date;
}

type Obstacle = (attempt: Attempt) => BlockedStep | undefined;

/** A replacement would delete the Secret and create it again, although the resource is being deleted. */
const isBeingDeleted: Obstacle = ({ observed: { certificate }, role: { secretName }, step }) =>
  isReplacement(step) && certificate.deleting
    ? blocked(
        'Deleting',
        `the operator does not replace Secret ${secretName} of a resource that is being deleted: ${step.message}`,
      )
    : undefined;

const finalizerHoldsSecret: Obstacle = ({ observed: { certificate }, role: { secret, secretName }, step }) =>
  isReplacement(step) && secret?.deleting === true
    ? blocked(...finalizerMessage(certificate.namespace, secretName, secret.immutable === true))
    : undefined;

const issuanceIsPaused: Obstacle = ({ observed: { certificate, authority }, step }) => {
  if (authority.state !== 'ready' || authority.issuancePaused === undefined || step.step !== 'issue') return undefined;
  const { reason, message } = authority.issuancePaused;
  return waits(step, 'AuthorityNotReady', `${nameOf(certificate)}: ${reason}: ${message}`);
};

const authorityIsNotReady: Obstacle = ({ observed: { certificate, authority }, step }) => {
  if (authority.state !== 'notReady') return undefined;
  const { reason, message } = authority;
  // The root is being created and will be ready shortly.
  const own = reason === 'Pending' ? 'Pending' : 'AuthorityNotReady';
  return waits(step, own, `${nameOf(certificate)}: ${reason}: ${message}`);
};

const outputsAreImpossible: Obstacle = ({ observed, role: { secret }, step }) => {
  const { certificate, authority } = observed;
  const problem = outputsProblem(certificate.spec, outputSources(observed));
  if (problem === undefined || authority.state !== 'ready') return undefined;
  const canWait = stepCanWait(step) && isWhole(secret, certificate, authority);
  return { step: 'blocked', ...problem, canWait };
};

const leafIsNotOnCrl: Obstacle = ({ observed: { certificate, authority }, role, step, now }) => {
  if (step.step !== 'issue' || authority.state !== 'ready') return undefined;
  const problem = unlistedLeavesProblem(certificate, role, step.reason === 'RevocationRequested', authority, now);
  return problem && { step: 'blocked', ...problem, canWait: stepCanWait(step) };
};

const lastAttemptFailed: Obstacle = ({ role: { failedAttempts }, step, now }) =>
  failedAttempts !== undefined && failedAttempts.nextRetryTime > now
    ? waits(step, 'IssuanceFailed', failedAttempts.message)
    : undefined;

/** The order is by importance to the user, because only the first obstacle is reported. */
const obstacles: readonly Obstacle[] = [
  isBeingDeleted,
  finalizerHoldsSecret,
  issuanceIsPaused,
  authorityIsNotReady,
  outputsAreImpossible,
  leafIsNotOnCrl,
  lastAttemptFailed,
];

/** The first obstacle to a step. Undefined if the step can be carried out. */
export function writeObstacle(attempt: Attempt): BlockedStep | undefined {
  for (const obstacle of obstacles) {
    const found = obstacle(attempt);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isReplacement = (step: Attempt['step']): step is Extract<SecretStep, { step: 'issue' }> =>
  step.step === 'issue' && step.write === 'replace';

const waits = (step: SecretStep, reason: CertificateReason, message: string): BlockedStep => ({
  step: 'blocked',
  reason,
  message,
  canWait: stepCanWait(step),
});

const nameOf = ({ spec }: CertificateRecord): string => `MtlsAuthority ${spec.authorityRef.name}`;

/** Another role of the resource with the same Secret name. The two would overwrite each other in an endless loop. */
const roleWithSameSecret = (
  { name, spec }: CertificateRecord,
  { role, secretName }: ObservedRole,
): string | undefined =>
  rolesOf(spec).find((other) => other !== role && secretNameOf(name, spec, other) === secretName);

/** The message when a finalizer holds a Secret that has to be created again. */
function finalizerMessage(namespace: string, secretName: string, isImmutable: boolean): [CertificateReason, string] {
  const release = `kubectl -n ${namespace} patch secret ${secretName} --type merge --patch '{"metadata":{"finalizers":null}}'`;
  const held =
    `is being deleted, but a finalizer holds it; the operator creates it again once it is gone. ` +
    `If the program that set the finalizer does not remove it: ${release}`;
  return isImmutable
    ? [
        'SecretImmutable',
        `Secret ${secretName} is immutable, so it gets no new root and no new certificate; it ${held}`,
      ]
    : ['Pending', `Secret ${secretName} ${held}`];
}

/**
 * True for a Secret with the current bundle and every requested output. The outputs may be from an earlier password or
 * CRL.
 */
const isWhole = (secret: SecretRecord | undefined, { spec }: CertificateRecord, authority: ReadyAuthority): boolean =>
  secret !== undefined && bundleIsGood(secret, authority) && hasOutputs(secret, spec);

/** True when the current certificate matches spec and works: the step can wait until it expires. */
export const stepCanWait = (step: SecretStep): boolean =>
  (step.step === 'update' && step.restores !== true) || (step.step === 'issue' && deferrableReasons.has(step.reason));
