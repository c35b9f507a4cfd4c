import type { Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import type { OwnedSecret } from '../records/ownership.ts';
import type { FoundSecret } from '../records/secret-record.ts';
import type { AuthorityState } from './authority-state.ts';
import type { FailedAttempts } from './failed-attempts.ts';
import type { Repairs } from './repair-backoff.ts';
import type { KeystorePassword } from './secret-outputs.ts';

/** One role of a resource: its Secret as it is, who else lays claim to the Secret's name, and what was tried before. */
export interface ObservedRole extends FoundSecret {
  readonly role: Role;
  readonly secretName: string;
  /** The resource or Secret that has the name, in words; absent when it is this resource's to take. */
  readonly secretNameOwner?: string;
  /** The failed attempts at this very request of this role; absent when the last one succeeded, or none was made. */
  readonly failedAttempts?: FailedAttempts;
  /** What was repaired of its Secret of late; absent where nothing was, and where something else is asked for now. */
  readonly repairs?: Repairs;
}

/** All that a decision about an MtlsCertificate rests on. */
export interface ObservedCertificate {
  readonly certificate: CertificateRecord;
  /** The labels of its namespace; absent while the namespace has not been seen. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly authority: AuthorityState;
  readonly roles: readonly ObservedRole[];
  /** Absent when spec asks for no keystores. */
  readonly keystorePassword?: KeystorePassword;
  /** Secrets that the resource owns and that no role of it wants any more. */
  readonly surplus: readonly OwnedSecret[];
}
