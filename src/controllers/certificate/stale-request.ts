import { type CertificateRecord, retainsSecrets, type SecretStep } from '../../plan/index.ts';
import { isSameJson } from '../objects/same-json.ts';

/**
 * True for a step that may answer an old version of the resource, so that the live one has to be read first. Watches are not
 * in step: a Secret that a later request has changed can arrive before the resource with that request, and looks as if it
 * had yet to be issued. The first certificate of a resource follows nothing, and needs no read. An adoption needs one:
 * `kubectl delete --cascade=orphan` takes the ownerReference off, and the watch may show that before it shows the deletion.
 */
export const dependsOnNewerRequest = (step: SecretStep, certificate: CertificateRecord): boolean =>
  isAdoption(step) ||
  (step.step === 'issue' &&
    (step.reason !== 'SecretMissing' ||
      (certificate.status.secrets ?? []).length > 0 ||
      // Nothing would delete such a Secret if the resource were gone.
      retainsSecrets(certificate)));

const isAdoption = (step: SecretStep): boolean =>
  (step.step === 'issue' || step.step === 'update') && step.ownership === 'adopt';

/** True when two versions of a resource request the same, and have handled the same. */
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
