import type { Revocation, RevocationState } from '../revocation/revocation-state.ts';
import type { ObservedRoot } from '../rotation/observed-root.ts';

/** All that a decision about an MtlsAuthority rests on. */
export interface ObservedAuthority extends ObservedRoot {
  /** What the root Secret says of revocation. */
  readonly revocation: RevocationState;
  /** What it said when this process saw it last, or, when it has not yet, what was published since. */
  readonly revocationBefore?: RevocationState;
  /** Leaves that are to be revoked; some may be on the CRLs already. */
  readonly requestedRevocations: readonly Revocation[];
}
