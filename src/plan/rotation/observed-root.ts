import type { Certificate, Issuer, IssuerInspection } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { RolloutObservation } from './rollout-observation.ts';
import type { RotationState } from './rotation-state.ts';

/** The root Secret as it was read, judged at the moment of reading. */
export interface RootSecret {
  /** The namespace of the operator. */
  readonly namespace?: string;
  readonly resourceVersion: string;
  readonly inspection: IssuerInspection;
  /** Roots in ca.crt beside the active one, or why it cannot be read. */
  readonly anchors: readonly Certificate[] | { readonly problem: string };
  /** The root that is to follow, and the one before; absent when the Secret has neither certificate nor key of it. */
  readonly next?: IssuerInspection;
  readonly previous?: IssuerInspection;
  /** The state of the rotation under way. */
  readonly rotation?: RotationState;
  /** The id of the rotation that ended last. */
  readonly endedRotation?: string;
  /** The value of rotate-root that was acted on last. */
  readonly handledToken?: string;
}

/** All that a decision about the root of an MtlsAuthority rests on. */
export interface ObservedRoot {
  readonly authority: AuthorityRecord;
  readonly secret?: RootSecret;
  /** How many MtlsCertificates refer to it. */
  readonly certificates: number;
  readonly rollout: RolloutObservation;
  /** The root that signed until now, while this process still holds its key. */
  readonly issuerInMemory?: Issuer;
  /** When this process began to lead. */
  readonly leadingSince: Date;
}
