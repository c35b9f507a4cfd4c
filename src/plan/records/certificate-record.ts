import type { MtlsCertificateSpec, MtlsCertificateStatus } from '../../api/types.ts';

/** What is known of an MtlsCertificate: its resource without what no decision needs. */
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
  /** Why spec cannot be read; then `spec` asks for nothing. */
  readonly specProblem?: string;
  readonly spec: MtlsCertificateSpec;
  readonly status: MtlsCertificateStatus;
  /** The stored status has the names of an earlier version: the next reconcile writes all of it. */
  readonly hasOldNames?: true;
}

/** The order of resources by age, the oldest first: by creation, then by UID. RFC 3339 in one zone and precision sorts as text. */
export const byAge = (a: CertificateRecord, b: CertificateRecord): number =>
  ageKey(a) < ageKey(b) ? -1 : ageKey(a) > ageKey(b) ? 1 : 0;

const ageKey = ({ creationTimestamp, uid }: CertificateRecord): string => `${creationTimestamp}/${uid}`;
