import { type CertificateRecord, retainsSecrets, type SecretStep } from '../../plan/index.ts';
import { isSameJson } from '../objects/same-json.ts';

/**
 * True for a step that may answer an old version of the resource, so that the live version must be read first. Watches are not
 * synchronised: a Secret that a later request changed can arrive before the resource with that request, and then seems to need
 * a certificate. The first certificate of a resource has no earlier request, so it needs no read. An adoption needs a read:
 * `kubectl delete --cascade=orphan` removes the ownerReference, and the watch may show that before the deletion.
 */
export const dependsOnNewerRequest = (step: SecretStep, certificate: CertificateRecord): boolean =>
  isAdoption(step) ||
  (step.step === 'issue' &&
    (step.reason !== 'SecretMissing' ||
      (certificate.status.secrets ?? []).length > 0 ||
      // With deletionPolicy Retain, Kubernetes would not garbage-collect the Secret if the resource were already deleted.
      retainsSecrets(certificate)));

const isAdoption = (step: SecretStep): boolean =>
  (step.step === 'issue' || step.step === 'update') && step.ownership === 'adopt';

/** True when two versions of a resource have the same request and have handled the same tokens. */
export const isSameRequest = (a: CertificateRecord, b: CertificateRecord): boolean =>
  a.uid === b.uid &&
  a.generation === b.generation &&
  a.rotateToken === b.rotateToken &&
  a.revokeToken === b.revokeToken &&
  a.deleting === b.deleting &&
  isSameJson(handledIn(a), handledIn(b));

const handledIn = ({ status: { lastHandledRotate, lastHandledRevoke, secrets = [] } }: CertificateRecord) => [
  lastHandledRotate,
  lastHandledRevoke,
  secrets.map(({ role, handledRotate, handledRevoke }) => [role, handledRotate, handledRevoke]),
];
