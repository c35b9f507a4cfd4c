import type { MtlsAuthoritySpec, MtlsAuthorityStatus } from '../../api/types.ts';

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
