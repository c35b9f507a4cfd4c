import type { Revocation, RevocationState } from '../revocation/revocation-state.ts';
import type { ObservedRoot } from '../rotation/observed-root.ts';
import type { ObservedSources } from './additional-roots.ts';

/** Everything that the plan of an MtlsAuthority depends on. */
export interface ObservedAuthority extends ObservedRoot {
  /** The CRLs and their entries in the root Secret. */
  readonly revocation: RevocationState;
  /**
   * The CRLs and entries that this process last read from the root Secret, or before the first read, the published
   * ones.
   */
  readonly revocationBefore?: RevocationState;
  /** Leaves to revoke. The CRLs may already list some of them. */
  readonly requestedRevocations: readonly Revocation[];
  /** The latest notAfter of the certificates for pods that wait for a record, by the identity of the root. */
  readonly requestedPodLeaves?: ReadonlyMap<string, Date>;
  /** The sources of `spec.trustBundle.additional`. Absent when there are none. */
  readonly sources?: ObservedSources;
}
