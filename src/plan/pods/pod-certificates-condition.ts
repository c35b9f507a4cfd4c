import type { PodCertificatesReason } from '../../api/reasons.ts';
import type { AuthorityVerdict } from '../authority/authority-plan.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { type DesiredCondition, falseIfSet } from '../records/condition.ts';
import { joinShortened } from '../text/message-text.ts';
import { signerNameOf } from '../trust/trust-plan.ts';

/** Whether the operator sees the requests of pods. */
export interface PodRequestsAccess {
  /** `off`: the operator runs without --pod-certificates. `unknown`: the first list is not complete. */
  readonly access: 'off' | 'unknown' | 'permitted' | 'forbidden' | 'unserved';
  /** The watched namespaces that `access` is about. Empty for all. */
  readonly namespaces: readonly string[];
}

/** The condition PodCertificatesServed. It is absent until spec requests that the authority is a signer for pods. */
export function podCertificatesCondition(
  authority: AuthorityRecord,
  { access, namespaces }: PodRequestsAccess,
  verdict: AuthorityVerdict,
): DesiredCondition[] {
  const type = 'PodCertificatesServed';
  if (authority.spec.podCertificates === undefined) {
    const message = 'spec.podCertificates is not set: nothing answers PodCertificateRequests for the authority';
    return falseIfSet(authority.status, { type, reason: 'NotRequested' satisfies PodCertificatesReason, message });
  }
  const isNot = (reason: PodCertificatesReason, message: string): DesiredCondition[] => [
    { type, status: 'False', reason, message },
  ];
  switch (access) {
    case 'off':
      return isNot(
        'NotEnabled',
        'the operator runs without --pod-certificates; set podCertificates.enabled in the chart',
      );
    case 'unserved':
      return isNot(
        'NotServed',
        'the API server does not serve PodCertificateRequests of certificates.k8s.io/v1; use Kubernetes 1.37 or later',
      );
    case 'forbidden': {
      const where = namespaces.length === 0 ? '' : ` in ${joinShortened(namespaces)}`;
      const message = `the operator may not list and watch PodCertificateRequests${where}; set podCertificates.enabled in the chart`;
      return isNot('Forbidden', message);
    }
    case 'unknown':
      return isNot('Pending', 'the operator has not listed the PodCertificateRequests yet');
    case 'permitted':
      break;
  }
  const problem = verdict.state === 'notReady' ? verdict : verdict.issuancePaused;
  if (problem !== undefined) return isNot('AuthorityNotReady', `requests wait: ${problem.reason}: ${problem.message}`);
  const message = `the operator answers PodCertificateRequests with the signerName ${signerNameOf(authority.name)}`;
  return [{ type, status: 'True', reason: 'Serving' satisfies PodCertificatesReason, message }];
}
