import type { MtlsAuthoritySpec, MtlsAuthorityStatus } from '../../api/types.ts';

/** The parts of an MtlsAuthority that plans need. */
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
  /** Why spec is not valid. Then `spec` holds only its valid fields, and the authority signs nothing. */
  readonly specProblem?: string;
  readonly spec: MtlsAuthoritySpec;
  readonly status: MtlsAuthorityStatus;
}
