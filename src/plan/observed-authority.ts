import type { MtlsAuthoritySpec, MtlsAuthorityStatus } from '../api/types.ts';
import type { Certificate, RootInspection, SigningRoot } from '../pki/index.ts';
import type { Evidence } from './evidence.ts';
import type { Revocation, RevocationState } from './revocation.ts';
import type { RotationNote } from './rotation-note.ts';

/** What is known of an MtlsAuthority. */
export interface AuthorityRecord {
  readonly namespace: '';
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly deleting: boolean;
  /** The value of the annotation rotate-root; absent when there is no request. */
  readonly rotateRootToken?: string;
  /** The values of the annotations approve-rotation, skip-gate and abort-rotation. */
  readonly approveToken?: string;
  readonly skipToken?: string;
  readonly abortToken?: string;
  /** Why spec cannot be read; then `spec` holds those of its fields that can be, and signs nothing. */
  readonly specProblem?: string;
  readonly spec: MtlsAuthoritySpec;
  readonly status: MtlsAuthorityStatus;
}

/** The root Secret as it was read, judged at the moment of reading. */
export interface RootSecret {
  /** The namespace of the operator. */
  readonly namespace?: string;
  readonly resourceVersion: string;
  readonly inspection: RootInspection;
  /** Roots in ca.crt beside the active one, or why it cannot be read. */
  readonly anchors: readonly Certificate[] | { readonly problem: string };
  /** The root that is to follow, and the one before; absent when the Secret has neither certificate nor key of it. */
  readonly next?: RootInspection;
  readonly previous?: RootInspection;
  /** The state of the rotation under way. */
  readonly note?: RotationNote;
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
  readonly evidence: Evidence;
  /** The root that signed until now, while this process still holds its key. */
  readonly held?: SigningRoot;
  /** When this process began to lead. */
  readonly leadingSince: Date;
}

/** All that a decision about an MtlsAuthority rests on. */
export interface ObservedAuthority extends ObservedRoot {
  /** What the root Secret says of revocation. */
  readonly revocation: RevocationState;
  /** What it said when this process saw it last, or, when it has not yet, what was published since. */
  readonly revocationBefore?: RevocationState;
  /** Leaves that are to be revoked; some may be on the CRLs already. */
  readonly asked: readonly Revocation[];
}
