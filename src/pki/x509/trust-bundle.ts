import { encodePem } from '../asn1/pem.ts';
import { anchorId, uniqueAnchors } from './ca-identity.ts';
import { type Certificate, isSelfSigned, parseCertificates, sha256Hex } from './certificate.ts';

/** The roots that peers trust, in the one order and form in which they are published. */
export interface TrustBundle {
  readonly roots: readonly Certificate[];
  /** PEM of all roots, the active one first. */
  readonly pem: string;
  /** SHA-256 of the PEM, lower-case hex. */
  readonly digest: string;
}

/** PEM of certificates in the given order. */
export const encodeCertificates = (certificates: readonly Certificate[]): string =>
  certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('');

/**
 * The bundle of an active root and others: the active one first, the others newest first. Of certificates with the same
 * anchor identity it holds one: the active one, else the one that lasts longest. The order depends on the roots alone, so
 * that equal sets give equal bytes.
 */
export function trustBundle(active: Certificate, others: readonly Certificate[]): TrustBundle {
  const rest = uniqueAnchors(others.filter((root) => anchorId(root) !== anchorId(active))).sort(
    (a, b) => b.notBefore.getTime() - a.notBefore.getTime() || (a.fingerprint < b.fingerprint ? -1 : 1),
  );
  const roots = [active, ...rest];
  const pem = encodeCertificates(roots);
  return { roots, pem, digest: sha256Hex(pem) };
}

/**
 * The certificates of a PEM text that may be trust anchors: self-signed CAs. A leaf or an intermediate is never one
 * (compare CVE-2025-6037).
 * @throws PkiError MalformedPem, TooLarge, MalformedCertificate
 */
export const parseTrustAnchors = (pem: string): Certificate[] =>
  parseCertificates(pem).filter(
    (certificate) => certificate.basicConstraints?.ca === true && isSelfSigned(certificate),
  );
