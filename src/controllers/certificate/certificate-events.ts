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

/** A role that was issued, and why. */
export interface IssuedRole {
  readonly role: ObservedRole;
  readonly reason: IssueReason;
  /** True when the certificate is for the private key that was there before. */
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

/** A Secret was deleted, which names itself: a person has to be able to see who did it. */
export const deletionEvent = (certificate: CertificateRecord, { secretName, why }: DeletedSecret): EventDetails => ({
  regarding: regardingOf(certificate),
  type: 'Normal',
  reason: 'SecretDeleted',
  action: 'Delete',
  note: `Deleted Secret ${secretName} ${why}`,
});

/** A Secret without an owner now belongs to the resource. */
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

/** What was issued, and why. */
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
 * What stands in the way, when a condition says so for the first time, or again after another attempt. It is a warning where
 * a person has to act. The note has no times in it: equal failures are equal events, of which few are written.
 */
export function problemEvents(
  certificate: CertificateRecord,
  conditions: readonly DesiredCondition[],
  authority: AuthorityState,
): EventDetails[] {
  const problems = conditions
    .filter(({ type, status }) => status === (type === 'Ready' ? 'False' : 'True'))
    // What only takes a moment is told by the event that ends it.
    .filter(({ reason }) => reason !== 'Pending' && reason !== 'Deleting');
  const [first] = problems;
  if (first === undefined || problems.every((condition) => wasSaid(certificate, condition))) return [];
  // An authority that is ready and waits, does so for the bundles of its own rotation.
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
  const serial = secret !== undefined && 'leaf' in secret.content ? [`serial ${secret.content.leaf.serialNumber}`] : [];
  const more = [...serial, ...(keptKey ? ['private key kept'] : [])].join(', ');
  return `${role} certificate in Secret ${secretName}${more === '' ? '' : ` (${more})`}`;
};

const wasSaid = ({ status }: CertificateRecord, { type, reason, message }: DesiredCondition): boolean =>
  status.conditions?.some((old) => old.type === type && old.reason === reason && old.message === message) === true;
