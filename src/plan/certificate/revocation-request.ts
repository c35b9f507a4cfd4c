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
 * The leaves of a role that the annotation revoke is about: the one in its Secret, the one that was in it before the Secret
 * was lost, and those that were replaced and have not expired: a key may be the same, and who asks may have rotated first.
 * None when the token is handled, or there is none. A leaf that may be the answer already is not one of them.
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
  // While the root of the leaf is not known, status may know its issuer.
  const { serialNumber, issuer, notAfter } = leaf;
  const namespace = shareName(certificate.namespace);
  const inSecret =
    issuer === undefined || notAfter <= now ? [] : [{ serialNumber, issuer, notAfter, revokedAt: now, namespace }];
  return [...inSecret, ...inStatus.filter((one) => one.serialNumber !== serialNumber || inSecret.length === 0)];
}

/** The unexpired leaves of a role that status knows. */
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

/** What status says of the issuer of a leaf. A status that is older than the field `issuerId` names the root instead. */
const issuerOf = ({ issuerId, rootFingerprint }: { issuerId?: string; rootFingerprint: string }): string =>
  issuerId ?? rootFingerprint;

/**
 * True until a Secret answers the token of the annotation revoke. Status says so; the annotation on the Secret says so before
 * status does. It counts only when no peer accepts a certificate that status knows, because anyone can write the annotation.
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

/** True for a leaf that is on the CRL, or that no trusted root leads to. */
export const isRejectedByPeers = (leaf: Revocation, authority: ReadyAuthority): boolean =>
  authority.crl !== undefined &&
  (authority.crl.revoked.has(leaf.serialNumber) ||
    !(canBeListed(leaf, authority) || unrenewableCrlOf(authority.crl, leaf.issuer) !== undefined));

/** True for a leaf that a CRL of the authority can list. A status that is older than its field issuerId names the root. */
export const canBeListed = ({ issuer }: Revocation, { crl, bundle }: ReadyAuthority): boolean =>
  crl?.issuers.includes(issuer) === true || bundle.roots.some(({ fingerprint }) => fingerprint === issuer);

/** The CA of this identity, if its leaves are in use and its key is gone. */
export const unrenewableCrlOf = ({ unrenewable }: CrlBundle, issuer: string | undefined) =>
  unrenewable.find((one) => one.issuer === issuer);
