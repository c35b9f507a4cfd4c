import type { ObservedRoot } from './observed-root.ts';
import type { Revocation, RevocationState } from './revocation-state.ts';

/** All that a decision about an MtlsAuthority rests on. */
export interface ObservedAuthority extends ObservedRoot {
  /** What the root Secret says of revocation. */
  readonly revocation: RevocationState;
  /** What it said when this process saw it last, or, when it has not yet, what was published since. */
  readonly revocationBefore?: RevocationState;
  /** Leaves that are to be revoked; some may be on the CRLs already. */
  readonly asked: readonly Revocation[];
}
