import { encodePem } from '../asn1/pem.ts';
import { anchorId, uniqueAnchors } from './ca-identity.ts';
import { type Certificate, isSelfSigned, parseCertificates, sha256Hex } from './certificate.ts';

/** The roots that peers trust, in the order and form in which the operator publishes them. */
export interface TrustBundle {
  /** The authority's own roots, the active one first. Only a leaf of one of these is a leaf of the authority. */
  readonly roots: readonly Certificate[];
  /** Roots of other CAs that peers trust too. */
  readonly additional: readonly Certificate[];
  /** PEM of all of them, the authority's own roots first. */
  readonly pem: string;
  /** SHA-256 of the PEM, lower-case hex. */
  readonly digest: string;
}

/** PEM of certificates in the given order. */
export const encodeCertificates = (certificates: readonly Certificate[]): string =>
  certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('');

/**
 * The bundle of the active root, which comes first, and of other roots, newest first. Of several certificates with the same
 * anchor identity it keeps the active one, otherwise the one that expires last. Equal sets of roots give equal octets.
 * @param offered roots of other CAs. They follow the authority's own roots in the given order, without duplicates.
 */
export function trustBundle(
  active: Certificate,
  others: readonly Certificate[],
  offered: readonly Certificate[] = [],
): TrustBundle {
  const rest = uniqueAnchors(others.filter((root) => anchorId(root) !== anchorId(active))).sort(
    (a, b) => b.notBefore.getTime() - a.notBefore.getTime() || (a.fingerprint < b.fingerprint ? -1 : 1),
  );
  const roots = [active, ...rest];
  const own = new Set(roots.map(anchorId));
  const additional = uniqueAnchors(offered.filter((root) => !own.has(anchorId(root))));
  const pem = encodeCertificates([...roots, ...additional]);
  return { roots, additional, pem, digest: sha256Hex(pem) };
}

/** The part of a bundle that holds the authority's own roots, in PEM, and the SHA-256 of it. */
export function ownRoots({ roots }: Pick<TrustBundle, 'roots'>): Pick<TrustBundle, 'pem' | 'digest'> {
  const pem = encodeCertificates(roots);
  return { pem, digest: sha256Hex(pem) };
}

/**
 * The trust anchors of a PEM text: its self-signed CAs. Leaves and intermediates are left out (compare CVE-2025-6037).
 * @throws PkiError MalformedPem, TooLarge, MalformedCertificate
 */
export const parseTrustAnchors = (pem: string): Certificate[] =>
  parseCertificates(pem).filter(
    (certificate) => certificate.basicConstraints?.ca === true && isSelfSigned(certificate),
  );
