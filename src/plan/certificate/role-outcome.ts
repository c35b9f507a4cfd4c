import type { CertificateReason } from '../../api/reasons.ts';
import type { LeafRecord } from '../../pki/index.ts';
import type { FailedAttempts } from './failed-attempts.ts';
import type { ObservedRole } from './observed-certificate.ts';

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
