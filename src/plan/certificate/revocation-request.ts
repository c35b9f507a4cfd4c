import type { Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { isOurs } from '../records/ownership.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import { shareName } from '../revocation/crl-shares.ts';
import type { Revocation } from '../revocation/revocation-state.ts';
import type { ReadyAuthority } from './authority-state.ts';
import { mayFulfilRequest, pendingToken, secretStatusOf } from './request-token.ts';

/**
 * The leaves of a role that the annotation revoke asks to revoke: the leaf in its Secret, the leaf that was in it
 * before the Secret was lost, and replaced leaves that have not expired. Replaced leaves are included because they may
 * share the key, and because the user may have rotated first. Empty when the token is handled, or when there is none. A
 * leaf that was issued for this very token is not included.
 */
export function leavesToRevoke(
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
  now: Date,
): Revocation[] {
  if (pendingToken('revoke', certificate, role) === undefined) return [];
  const inStatus = leavesInStatus(certificate, role, now);
  const leaf =
    secret !== undefined && isOurs(secret, certificate, role) && 'leaf' in secret.content
      ? secret.content.leaf
      : undefined;
  if (leaf === undefined || mayFulfilRequest('revoke', certificate, role, secret)) return inStatus;
  // The issuer is absent while the root of the leaf is unknown. Status may have it.
  const { serialNumber, issuer, notAfter } = leaf;
  const namespace = shareName(certificate.namespace);
  const inSecret =
    issuer === undefined || notAfter <= now ? [] : [{ serialNumber, issuer, notAfter, revokedAt: now, namespace }];
  return [...inSecret, ...inStatus.filter((one) => one.serialNumber !== serialNumber || inSecret.length === 0)];
}

/** The unexpired leaves of a role that status lists. */
function leavesInStatus(certificate: CertificateRecord, role: Role, now: Date): Revocation[] {
  const entry = secretStatusOf(certificate, role);
  return (entry === undefined ? [] : [entry, ...(entry.replaced ?? [])])
    .map((one) => ({
      serialNumber: one.serialNumber,
      issuer: issuerOf(one),
      notAfter: new Date(one.notAfter),
      revokedAt: now,
      namespace: shareName(certificate.namespace),
    }))
    .filter(({ notAfter }) => notAfter > now);
}

/**
 * The issuer of a leaf, as status records it. A status that is older than the field `issuerId` names the root instead.
 */
const issuerOf = ({ issuerId, rootFingerprint }: { issuerId?: string; rootFingerprint: string }): string =>
  issuerId ?? rootFingerprint;

/**
 * True until a certificate was issued for the current token of the annotation revoke. An annotation on the Secret
 * records the token before status does. It counts only when peers reject every certificate in status, because any
 * client can write the annotation.
 */
export const revocationIsPending = (
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
  authority: ReadyAuthority | undefined,
  now: Date,
): boolean =>
  pendingToken('revoke', certificate, role) !== undefined &&
  !(
    mayFulfilRequest('revoke', certificate, role, secret) &&
    leavesInStatus(certificate, role, now).every(
      (leaf) => authority !== undefined && isRejectedByPeers(leaf, authority),
    )
  );

/** True for a leaf that is on the CRL, or that does not chain to a trusted root. */
export const isRejectedByPeers = (leaf: Revocation, authority: ReadyAuthority): boolean =>
  authority.crl !== undefined &&
  (authority.crl.revoked.has(leaf.serialNumber) ||
    !(canBeListed(leaf, authority) || unrenewableCrlOf(authority.crl, leaf.issuer) !== undefined));

/**
 * True for a leaf that a CRL of the authority can list. A status that is older than the field `issuerId` names the
 * root.
 */
export const canBeListed = ({ issuer }: Revocation, { crl, bundle }: ReadyAuthority): boolean =>
  crl?.issuers.includes(issuer) === true || bundle.roots.some(({ fingerprint }) => fingerprint === issuer);

/** The last CRL of this CA, if its leaves are in use and its key is gone. */
export const unrenewableCrlOf = ({ unrenewable }: CrlBundle, issuer: string | undefined) =>
  unrenewable.find((one) => one.issuer === issuer);
