import { apiVersion } from '../api/names.ts';
import type { EventNote } from '../kube/index.ts';
import type { CertificateRecord, IssueReason, ObservedRole, WantedCondition } from '../plan/index.ts';
import type { DeletedSecret } from './secret-writer.ts';

/** Sends events in the background. */
export interface Recorder {
  record(note: EventNote): void;
}

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
export const deletionEvent = (certificate: CertificateRecord, { secretName, why }: DeletedSecret): EventNote => ({
  regarding: regardingOf(certificate),
  type: 'Normal',
  reason: 'SecretDeleted',
  action: 'Delete',
  note: `Deleted Secret ${secretName}, ${why}`,
});

/** A Secret without an owner now belongs to the resource. */
export const adoptionEvent = (certificate: CertificateRecord, secretName: string): EventNote => ({
  regarding: regardingOf(certificate),
  type: 'Normal',
  reason: 'SecretAdopted',
  action: 'Adopt',
  note: `Adopted Secret ${secretName}, which its labels and annotation hand over to this resource`,
});

const regardingOf = ({ namespace, name, uid }: CertificateRecord): EventNote['regarding'] => ({
  apiVersion,
  kind: 'MtlsCertificate',
  namespace,
  name,
  uid,
});

/** What a person would want to hear of a reconcile: what was issued and why, and what has newly gone wrong. */
export function certificateEvents(
  certificate: CertificateRecord,
  conditions: readonly WantedCondition[],
  issued: readonly IssuedRole[],
): EventNote[] {
  const regarding = regardingOf(certificate);
  const reasons = [...new Set(issued.map(({ reason }) => eventReasons[reason]))];
  const issues = reasons.map((reason): EventNote => {
    const roles = issued.filter((one) => eventReasons[one.reason] === reason);
    const note = `${reason} ${roles.map(describe).join(', ')}`;
    return { regarding, type: 'Normal', reason, action: 'Issue', note };
  });
  const problems = conditions
    .filter(({ type, status }) => (type === 'Ready' && status === 'False') || type === 'Issuing')
    // What only takes a moment is told by the event that ends it.
    .filter((condition) => condition.reason !== 'Pending' && !wasSaid(certificate, condition))
    .map(
      ({ reason, message }): EventNote => ({ regarding, type: 'Warning', reason, action: 'Reconcile', note: message }),
    );
  return [...issues, ...problems.slice(0, 1)];
}

const describe = ({ role: { role, secretName, secret }, keptKey }: IssuedRole): string => {
  const serial = secret !== undefined && 'leaf' in secret.content ? [`serial ${secret.content.leaf.serialNumber}`] : [];
  const more = [...serial, ...(keptKey ? ['private key kept'] : [])].join(', ');
  return `${role} certificate in Secret ${secretName}${more === '' ? '' : ` (${more})`}`;
};

const wasSaid = ({ status }: CertificateRecord, { type, reason, message }: WantedCondition): boolean =>
  status.conditions?.some((old) => old.type === type && old.reason === reason && old.message === message) === true;
