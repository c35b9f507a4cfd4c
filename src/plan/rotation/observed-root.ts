import type { Certificate, Issuer, IssuerInspection } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { ObservedPodLeaves, PodLeaves } from '../records/pod-leaves.ts';
import type { RolloutObservation } from './rollout-observation.ts';
import type { RotationState } from './rotation-state.ts';

/** The root Secret, checked at the time of reading. */
export interface RootSecret {
  /** The namespace of the operator. */
  readonly namespace?: string;
  readonly resourceVersion: string;
  readonly inspection: IssuerInspection;
  /** The roots in ca.crt other than the active one, or why ca.crt is not valid. */
  readonly anchors: readonly Certificate[] | { readonly problem: string };
  /** The next and the previous root. Absent when the Secret has neither certificate nor key for it. */
  readonly next?: IssuerInspection;
  readonly previous?: IssuerInspection;
  /** The state of the rotation in progress. */
  readonly rotation?: RotationState;
  /** The id of the last rotation that ended. */
  readonly endedRotation?: string;
  /** The last value of rotate-root that the operator acted on. */
  readonly handledToken?: string;
  /** Until when pods may hold certificates. Absent when the Secret records none. */
  readonly podLeaves?: PodLeaves;
}

/** True for a root that was read and has expired. */
export const hasExpired = (root: IssuerInspection | undefined): boolean =>
  root !== undefined && 'reason' in root && root.reason === 'RootExpired';

/** Everything that the plan of an MtlsAuthority's root depends on. */
export interface ObservedRoot {
  readonly authority: AuthorityRecord;
  readonly secret?: RootSecret;
  /** How many MtlsCertificates refer to the authority. */
  readonly certificates: number;
  readonly rollout: RolloutObservation;
  /**
   * Until when pods may hold certificates, from all records: another client may have overwritten the root Secret. It also has the
   * time of the API server.
   */
  readonly podLeaves?: ObservedPodLeaves;
  /** The root that signed before the Secret was overwritten, if this process still holds its key. */
  readonly issuerInMemory?: Issuer;
  /** When this process started to lead. */
  readonly leadingSince: Date;
}
