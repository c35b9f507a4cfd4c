import type { KeyObject } from 'node:crypto';
import { encodeCertificates } from './bundle.ts';
import { belongsTo, type Certificate, isSignedBy, parseCertificates } from './certificate.ts';
import { PkiError } from './error.ts';
import { describeKey, type KeyEncoding, parsePrivateKey } from './key.ts';
import { certificateProfileDigest } from './profile.ts';

/** What is worth remembering of a key pair in a Secret: no key material, no bytes of the certificate. */
export interface LeafRecord {
  readonly fingerprint: string;
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** See profileDigest. */
  readonly profile: string;
  /** See describeKey. */
  readonly keyKind: string;
  readonly keyEncoding: KeyEncoding;
  readonly authorityKeyId?: string;
  /** Fingerprint of the root that verifies the leaf; absent when none of those given does. */
  readonly root?: string;
}

/**
 * Reads and checks the key pair of a Secret: exactly one certificate, in the form it was written in, and the private
 * key that belongs to it.
 * @param roots candidates for the root that signed it
 * @throws PkiError; a key that does not match gives VerificationFailed
 */
export function readLeaf(certificatePem: string, keyPem: string, roots: readonly Certificate[]): LeafRecord {
  const [leaf, ...more] = parseCertificates(certificatePem);
  if (leaf === undefined || more.length > 0) {
    throw new PkiError(
      'MalformedCertificate',
      `expected one certificate, found ${leaf === undefined ? 0 : 1 + more.length}`,
    );
  }
  if (encodeCertificates([leaf]) !== certificatePem) {
    throw new PkiError('MalformedPem', 'tls.crt holds more than its certificate');
  }
  const { key, encoding } = parsePrivateKey(keyPem);
  return leafRecord(leaf, key, encoding, roots);
}

/**
 * The record of a leaf and its key.
 * @throws PkiError VerificationFailed when the key does not belong to the leaf
 */
export function leafRecord(
  leaf: Certificate,
  key: KeyObject,
  keyEncoding: KeyEncoding,
  roots: readonly Certificate[],
): LeafRecord {
  if (!belongsTo(key, leaf)) {
    throw new PkiError('VerificationFailed', 'the private key does not belong to the certificate');
  }
  // The key identifier only narrows the choice; what counts is the signature.
  const root = roots.find(({ subjectKeyId }) => subjectKeyId === undefined || subjectKeyId === leaf.authorityKeyId);
  const signer = root !== undefined && isSignedBy(leaf, root) ? root : roots.find((other) => isSignedBy(leaf, other));
  return {
    fingerprint: leaf.fingerprint,
    serialNumber: leaf.serialNumber,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    profile: certificateProfileDigest(leaf),
    keyKind: describeKey(key),
    keyEncoding,
    ...(leaf.authorityKeyId === undefined ? {} : { authorityKeyId: leaf.authorityKeyId }),
    ...(signer === undefined ? {} : { root: signer.fingerprint }),
  };
}
