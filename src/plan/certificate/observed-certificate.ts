import type { Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import type { OwnedSecret } from '../records/ownership.ts';
import type { FoundSecret } from '../records/secret-record.ts';
import type { AuthorityState } from './authority-state.ts';
import type { FailedAttempts } from './failed-attempts.ts';
import type { Repairs } from './repair-backoff.ts';
import type { KeystorePassword } from './secret-outputs.ts';

/** One role of a resource: its Secret, the other claimant of the Secret's name, and the earlier attempts. */
export interface ObservedRole extends FoundSecret {
  readonly role: Role;
  readonly secretName: string;
  /** The resource that owns the Secret name instead, for messages. Absent when this resource may use the name. */
  readonly secretNameOwner?: string;
  /**
   * The failed attempts at the current request of this role. Absent when the last attempt succeeded or there was none.
   */
  readonly failedAttempts?: FailedAttempts;
  /** The recent repairs of its Secret. Absent when there were none, and when the request has changed since. */
  readonly repairs?: Repairs;
}

/** Everything that the plan of an MtlsCertificate depends on. */
export interface ObservedCertificate {
  readonly certificate: CertificateRecord;
  /** Absent until the operator has read the namespace. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  /** The operator may not read the namespace, so its labels stay unknown. */
  readonly labelsForbidden?: true;
  /** Why the Secrets of the namespace are not known. Absent when they are. */
  readonly secretsAccess?: 'forbidden' | 'unknown';
  readonly authority: AuthorityState;
  readonly roles: readonly ObservedRole[];
  /** Absent when spec requests no keystores. */
  readonly keystorePassword?: KeystorePassword;
  /** Secrets that the resource owns and that none of its roles needs. */
  readonly surplus: readonly OwnedSecret[];
}
