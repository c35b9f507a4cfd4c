import type { MtlsCertificateSpec, MtlsCertificateStatus } from '../../api/types.ts';

/** The parts of an MtlsCertificate that plans need. */
export interface CertificateRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deleting: boolean;
  /** The value of the annotation rotate; absent when there is no request. */
  readonly rotateToken?: string;
  /** The value of the annotation revoke; absent when there is no request. */
  readonly revokeToken?: string;
  /** The value of the annotation retry; absent when there is no request. */
  readonly retryToken?: string;
  /** Why spec is not valid. Then `spec` requests no certificate. */
  readonly specProblem?: string;
  readonly spec: MtlsCertificateSpec;
  readonly status: MtlsCertificateStatus;
  /** The stored status uses field names of an earlier version, so the next reconcile writes all of it. */
  readonly hasOldNames?: true;
}

/**
 * Orders resources by age, the oldest first: by creation, then by UID. RFC 3339 times in one zone and precision sort as
 * text.
 */
export const byAge = (a: CertificateRecord, b: CertificateRecord): number =>
  ageKey(a) < ageKey(b) ? -1 : ageKey(a) > ageKey(b) ? 1 : 0;

const ageKey = ({ creationTimestamp, uid }: CertificateRecord): string => `${creationTimestamp}/${uid}`;
