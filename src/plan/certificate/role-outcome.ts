import type { CertificateReason } from '../../api/reasons.ts';
import type { LeafRecord } from '../../pki/index.ts';
import type { FailedAttempts } from './failed-attempts.ts';
import type { ObservedRole } from './observed-certificate.ts';

/** The state of a role after its step was carried out. */
export interface RoleOutcome {
  /** Holds the Secret as the step left it. */
  readonly role: ObservedRole;
  readonly problem?: {
    readonly reason: CertificateReason;
    readonly message: string;
    /** The current certificate matches spec and works until it expires; only its successor is due. */
    readonly canWait?: boolean;
  };
  /** The leaves that were issued since the last successful write of status. */
  readonly unrecorded?: readonly LeafRecord[];
  /** All failed attempts, including this step's. */
  readonly failedAttempts?: FailedAttempts;
}
