import type { PodCertificateRequest, PodCertificateRequestStatus } from '../../kube/index.ts';
import { encodeCertificates, type IssuedLeaf, PkiError } from '../../pki/index.ts';
import type { DenyPodCertificate, IssuePodCertificate, PodRequestRecord } from '../../plan/index.ts';

/** The API server accepts no longer chain, in octets. */
const longestChain = 100 * 1024;

/** The answer that delivers a certificate. @throws PkiError TooLarge */
export function issuedStatus(
  { leaf, intermediates }: IssuedLeaf,
  { validity }: IssuePodCertificate,
  now: Date,
): PodCertificateRequestStatus {
  const certificateChain = encodeCertificates([leaf, ...intermediates]);
  if (certificateChain.length > longestChain) {
    throw new PkiError(
      'TooLarge',
      `the certificate and its chain have ${certificateChain.length} octets; request fewer names`,
    );
  }
  return {
    conditions: [condition('Issued', 'Issued', 'the operator has issued the certificate', now)],
    certificateChain,
    notBefore: seconds(leaf.notBefore),
    beginRefreshAt: seconds(validity.beginRefreshAt),
    notAfter: seconds(leaf.notAfter),
  };
}

export const deniedStatus = ({ reason, message }: DenyPodCertificate, now: Date): PodCertificateRequestStatus => ({
  conditions: [condition('Denied', reason, message, now)],
});

/** The object for a PUT of the status. The API server keeps everything else as it is. */
export const withStatus = (
  { namespace, name, uid, resourceVersion }: PodRequestRecord,
  status: PodCertificateRequestStatus,
): PodCertificateRequest & { metadata: { resourceVersion: string } } => ({
  metadata: { namespace, name, uid, resourceVersion },
  status,
});

const condition = (type: 'Issued' | 'Denied', reason: string, message: string, now: Date) =>
  ({ type, status: 'True', reason, message, lastTransitionTime: seconds(now) }) as const;

const seconds = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
