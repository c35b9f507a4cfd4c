import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { keyIdentifier } from './tbs-fields.ts';

/**
 * The identity of a CA: the SHA-256 of its subject and public key, in lower-case hex. A CA is identified by its name and
 * key (RFC 5280 6.1.1 d), so a CA certificate that was renewed with the same key has the same identity. Records of leaves
 * and CRLs name their issuer by it.
 */
export const caId = (ca: Certificate): string => ids(ca).ca;

/**
 * The identity of a trust anchor: the identity of the CA and the key identifier, by which OpenSSL finds an issuer. Two
 * anchors with the same identity can replace each other in every bundle. With the same name and key but different key
 * identifiers they cannot: OpenSSL refuses a leaf that names the other identifier.
 */
export const anchorId = (anchor: Certificate): string => ids(anchor).anchor;

interface Ids {
  readonly ca: string;
  readonly anchor: string;
}

const known = new WeakMap<Certificate, Ids>();

function ids(certificate: Certificate): Ids {
  const found = known.get(certificate) ?? computeIds(certificate);
  known.set(certificate, found);
  return found;
}

function computeIds(certificate: Certificate): Ids {
  // DER contains its own length, so two different pairs never give the same octets.
  const nameAndKey = createHash('sha256').update(certificate.subject).update(certificate.publicKeyInfo);
  const anchor = nameAndKey.copy().update(issuerKeyIdentifier(certificate));
  return { ca: nameAndKey.digest('hex'), anchor: anchor.digest('hex') };
}

/** One certificate for each anchor identity: the one that expires last, at the position of the first. */
export function uniqueAnchors(anchors: readonly Certificate[]): Certificate[] {
  const longest = new Map<string, Certificate>();
  for (const anchor of anchors) {
    const other = longest.get(anchorId(anchor));
    if (other === undefined || lastsLonger(anchor, other)) longest.set(anchorId(anchor), anchor);
  }
  return [...longest.values()];
}

const lastsLonger = (a: Certificate, b: Certificate): boolean =>
  a.notAfter.getTime() === b.notAfter.getTime() ? a.fingerprint < b.fingerprint : a.notAfter > b.notAfter;

/** The subject key identifier of an issuer; for a root without that extension, the identifier derived from its key. */
export const issuerKeyIdentifier = (ca: Certificate): Buffer =>
  ca.subjectKeyId === undefined ? keyIdentifier(ca.publicKey) : Buffer.from(ca.subjectKeyId, 'hex');
