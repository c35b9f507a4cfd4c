import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { keyIdentifier } from './tbs-fields.ts';

/**
 * The identity of the CA that a certificate describes: the SHA-256 of its subject and its public key, in lower-case hex.
 * A CA is its name and its key (RFC 5280 6.1.1 d): certificates of the same CA with other dates have the same identity.
 * It names the issuer of leaves and of CRLs.
 */
export const caId = (ca: Certificate): string => ids(ca).ca;

/**
 * The identity of a trust anchor: that of the CA, and the key identifier by which OpenSSL picks an issuer. Two anchors
 * with the same identity can replace each other in every bundle. An anchor with another key identifier cannot, even if
 * its name and key are the same: OpenSSL refuses the leaves that name the other identifier.
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
  // Both are DER, which tells its own length: no two pairs give the same octets.
  const nameAndKey = createHash('sha256').update(certificate.subject).update(certificate.publicKeyInfo);
  const anchor = nameAndKey.copy().update(issuerKeyIdentifier(certificate));
  return { ca: nameAndKey.digest('hex'), anchor: anchor.digest('hex') };
}

/** One certificate for each anchor identity: the one that lasts longest, in the place of the first. */
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

/** The issuer's own identifier, whatever method made it; a root without one gets what its key would have. */
export const issuerKeyIdentifier = (ca: Certificate): Buffer =>
  ca.subjectKeyId === undefined ? keyIdentifier(ca.publicKey) : Buffer.from(ca.subjectKeyId, 'hex');
