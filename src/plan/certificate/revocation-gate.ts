import type { CertificateRecord } from '../records/certificate-record.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import { maxRevocations, roomFor, shareName } from '../revocation/crl-shares.ts';
import type { Revocation } from '../revocation/revocation-state.ts';
import { rotateRootCommand } from '../text/kubectl-command.ts';
import { joinShortened } from '../text/message-text.ts';
import type { ReadyAuthority } from './authority-state.ts';
import type { SecretInput } from './issue-reason.ts';
import type { ObservedRole } from './observed-certificate.ts';
import { canBeListed, isRejectedByPeers, leavesToRevoke, unrenewableCrlOf } from './revocation-request.ts';
import type { BlockedStep } from './secret-step.ts';

/**
 * Why a certificate cannot be replaced yet. The CRL must list a leaf before the leaf is replaced, because replacing it
 * deletes the serial number. Undefined when the CRL lists the leaf, or when no peer trusts its issuer any more. When no
 * CRL can list the leaf, the request to revoke stays unanswered: an answer would mean that peers reject the leaf. In
 * that case, or when the namespace has used its share of the CRL, a certificate that is due for another reason is issued
 * anyway.
 * @param isRequested whether the request to revoke is the reason to issue
 */
export function unlistedLeavesProblem(
  certificate: CertificateRecord,
  { role, secret }: ObservedRole,
  isRequested: boolean,
  authority: ReadyAuthority,
  now: Date,
): Pick<BlockedStep, 'reason' | 'message' | 'awaitsCrl'> | undefined {
  const requested = leavesToRevoke(certificate, role, secret, now);
  const authorityName = certificate.spec.authorityRef.name;
  const impossible = notListableMessage(requested, authority, authorityName);
  if (impossible !== undefined) return isRequested ? { reason: 'CrlUnavailable', message: impossible } : undefined;
  const { crl } = authority;
  const waiting = requested.filter((one) => canBeListed(one, authority) && crl?.revoked.has(one.serialNumber) !== true);
  if (crl === undefined || waiting.length === 0) return undefined;
  const what = `the CRL of MtlsAuthority ${authorityName} to list ${serialsOf(waiting)}`;
  if (roomFor(crl.entries, shareName(certificate.namespace)) > 0) {
    return { reason: 'Pending', message: `waiting for ${what}`, awaitsCrl: true };
  }
  if (!isRequested) return undefined;
  return { reason: 'CrlShareExhausted', message: shareExhaustedMessage(certificate, crl, what), awaitsCrl: true };
}

/** The count in the message changes only with the entries of this namespace. */
function shareExhaustedMessage({ namespace, spec }: CertificateRecord, { entries }: CrlBundle, what: string): string {
  const own = entries.byNamespace.get(shareName(namespace)) ?? 0;
  return (
    `waiting for ${what}: namespace ${namespace} has used its share of the CRL, ${own} of ${maxRevocations} entries (a quarter ` +
    'of what other namespaces leave). An entry leaves when its certificate expires; a shorter spec.duration makes room ' +
    'sooner. To make room now, ask an administrator to rotate the root, which empties the CRL: ' +
    rotateRootCommand({ name: spec.authorityRef.name })
  );
}

/**
 * True when peers reject every leaf that the request names. If one is on no CRL, replacing the leaf does not answer the
 * request.
 */
export function isFullyRevoked({ certificate, authority, role: { role, secret }, now }: SecretInput): boolean {
  const requested = leavesToRevoke(certificate, role, secret, now);
  return requested.every((leaf) => authority !== undefined && isRejectedByPeers(leaf, authority));
}

/** Why no CRL can list some of the leaves, although peers trust them. Undefined when every leaf can be listed. */
function notListableMessage(
  requested: readonly Revocation[],
  { crl }: ReadyAuthority,
  authorityName: string,
): string | undefined {
  if (requested.length === 0) return undefined;
  const advice = 'remove the annotation revoke, and set the annotation rotate to replace the certificate';
  if (crl === undefined) {
    return (
      `${serialsOf(requested)} cannot be revoked: MtlsAuthority ${authorityName} has no CRL, because the key usage of its root or ` +
      `intermediate lacks cRLSign; ${advice}`
    );
  }
  const unlistable = requested.filter(
    ({ issuer, serialNumber }) => unrenewableCrlOf(crl, issuer) !== undefined && !crl.revoked.has(serialNumber),
  );
  const orphan = unrenewableCrlOf(crl, unlistable[0]?.issuer);
  if (orphan === undefined) return undefined;
  return (
    `${serialsOf(unlistable)} cannot be revoked: the root Secret of MtlsAuthority ${authorityName} lacks the key of the issuer ` +
    `(${orphan.subject.slice(0, 100)}); put that CA into the Secret as previous.crt and previous.key, or ${advice}`
  );
}

/** Shortened, because a resource can have hundreds of replaced certificates. */
const serialsOf = (revocations: readonly Revocation[]): string =>
  joinShortened(revocations.map(({ serialNumber }) => serialNumber));
