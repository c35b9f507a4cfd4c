import { apiVersion } from '../../api/constants.ts';
import type { EventDetails } from '../../kube/index.ts';
import {
  type AuthorityState,
  type CertificateRecord,
  type DesiredCondition,
  type IssueReason,
  nextAttempt,
  type ObservedRole,
} from '../../plan/index.ts';
import type { DeletedSecret } from './secret-deleter.ts';

/** A role whose certificate was issued, and why. */
export interface IssuedRole {
  readonly role: ObservedRole;
  readonly reason: IssueReason;
  /** True when the new certificate is for the private key that the Secret already held. */
  readonly keptKey: boolean;
}

const eventReasons: Record<IssueReason, string> = {
  SecretMissing: 'Issued',
  SecretCorrupted: 'Repaired',
  SecretImmutable: 'Repaired',
  RootNotTrusted: 'Reissued',
  SpecChanged: 'Reissued',
  RevocationRequested: 'Revoked',
  RotationRequested: 'Rotated',
  RootReplaced: 'Reissued',
  IssuerKeyMissing: 'Reissued',
  Expired: 'Renewed',
  RenewalDue: 'Renewed',
};

/** Reports a deleted Secret, so that a person can find out who deleted it. */
export const deletionEvent = (certificate: CertificateRecord, { secretName, why }: DeletedSecret): EventDetails => ({
  regarding: regardingOf(certificate),
  type: 'Normal',
  reason: 'SecretDeleted',
  action: 'Delete',
  note: `Deleted Secret ${secretName} ${why}`,
});

/** Reports a Secret without a controller that now belongs to the resource. */
export const adoptionEvent = (certificate: CertificateRecord, secretName: string): EventDetails => ({
  regarding: regardingOf(certificate),
  type: 'Normal',
  reason: 'SecretAdopted',
  action: 'Adopt',
  note: `Adopted Secret ${secretName}: it has no controller, and its labels and annotation name this resource`,
});

const regardingOf = ({ namespace, name, uid }: CertificateRecord): EventDetails['regarding'] => ({
  apiVersion,
  kind: 'MtlsCertificate',
  namespace,
  name,
  uid,
});

/** Reports issued certificates, in one event for each reason. */
export function issueEvents(certificate: CertificateRecord, issued: readonly IssuedRole[]): EventDetails[] {
  const regarding = regardingOf(certificate);
  const reasons = [...new Set(issued.map(({ reason }) => eventReasons[reason]))];
  return reasons.map((reason): EventDetails => {
    const roles = issued.filter((one) => eventReasons[one.reason] === reason);
    const note = `${reason} ${roles.map(describe).join(', ')}`;
    return { regarding, type: 'Normal', reason, action: 'Issue', note };
  });
}

/**
 * Reports a problem when a condition states it for the first time, or again after another attempt. The event is a Warning if a
 * person has to act. Times are removed from the note: equal failures are equal events, of which the recorder writes few.
 */
export function problemEvents(
  certificate: CertificateRecord,
  conditions: readonly DesiredCondition[],
  authority: AuthorityState,
): EventDetails[] {
  const problems = conditions
    .filter(({ type, status }) => status === (type === 'Ready' ? 'False' : 'True'))
    // These reasons last only a moment, and another event reports the outcome.
    .filter(({ reason }) => reason !== 'Pending' && reason !== 'Deleting');
  const [first] = problems;
  if (first === undefined || problems.every((condition) => wasSaid(certificate, condition))) return [];
  // A ready authority that does not sign waits for the bundles of its own rotation. That passes without any action.
  const passes = first.reason === 'AuthorityNotReady' && authority.state === 'ready';
  return [
    {
      regarding: regardingOf(certificate),
      type: passes ? 'Normal' : 'Warning',
      reason: first.reason,
      action: 'Reconcile',
      note: first.message.replaceAll(nextAttempt, ''),
    },
  ];
}

const describe = ({ role: { role, secretName, secret }, keptKey }: IssuedRole): string => {
  const serial =
    secret !== undefined && 'leaf' in secret.content ? [`new serial ${secret.content.leaf.serialNumber}`] : [];
  const more = [...serial, ...(keptKey ? ['private key kept'] : [])].join(', ');
  return `${role} certificate in Secret ${secretName}${more === '' ? '' : ` (${more})`}`;
};

const wasSaid = ({ status }: CertificateRecord, { type, reason, message }: DesiredCondition): boolean =>
  status.conditions?.some((old) => old.type === type && old.reason === reason && old.message === message) === true;
