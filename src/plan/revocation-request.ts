import { annotations } from '../api/names.ts';
import type { Role } from '../pki/index.ts';
import type { CertificateRecord, SecretRecord } from './observed.ts';
import { isOurs } from './ownership.ts';
import type { Revocation } from './revocation.ts';

/**
 * The leaves of a role that the annotation revoke is about: the one in its Secret, the one that was in it before the Secret
 * was lost, and those that were replaced and have not expired: a key may be the same, and who asks may have rotated first.
 * None when the token is handled, or there is none.
 */
export function leavesToRevoke(
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
  now: Date,
): Revocation[] {
  if (!revocationIsAsked(certificate, secret)) return [];
  const { status } = certificate;
  const entry = status.secrets?.find((one) => one.role === role);
  const leaf =
    secret !== undefined && isOurs(secret, certificate, role) && 'leaf' in secret.content
      ? secret.content.leaf
      : undefined;
  const issuer = leaf?.issuer ?? (entry?.fingerprint === leaf?.fingerprint ? entry && issuerOf(entry) : undefined);
  const inSecret =
    leaf === undefined || issuer === undefined
      ? []
      : [{ serialNumber: leaf.serialNumber, issuer, notAfter: leaf.notAfter, revokedAt: now }];
  const inStatus = (entry === undefined ? [] : [entry, ...(entry.replaced ?? [])])
    .filter(({ serialNumber }) => serialNumber !== leaf?.serialNumber)
    .map((one) => ({
      serialNumber: one.serialNumber,
      issuer: issuerOf(one),
      notAfter: new Date(one.notAfter),
      revokedAt: now,
    }));
  return [...inSecret, ...inStatus].filter(({ notAfter }) => notAfter > now);
}

/** What status says of the issuer of a leaf. A status that is older than the field `issuerId` names the root instead. */
const issuerOf = ({ issuerId, authorityFingerprint }: { issuerId?: string; authorityFingerprint: string }): string =>
  issuerId ?? authorityFingerprint;

/** True while a token has work to do on a Secret. That it is done is noted there, and in status should the note be lost. */
export const revocationIsAsked = (
  { revokeToken, status }: CertificateRecord,
  secret: SecretRecord | undefined,
): boolean =>
  revokeToken !== undefined &&
  revokeToken !== secret?.annotations[annotations.revoke] &&
  revokeToken !== status.lastHandledRevoke;
