import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';

import { type SecretFiles, serialOf } from '../peers/index.ts';
import { pemCertificates } from '../peers/peer.ts';

/** The certificate in a Secret and the root that signed it. */
export interface Issue {
  /** Lower-case hex. */
  readonly serial: string;
  /** The fingerprint of the root, in the format of status. */
  readonly root: string;
}

/** Reads the Secret of a leaf that a root signed directly. Throws if no root in ca.crt signed it. */
export function issueOf(files: SecretFiles): Issue {
  const [leaf] = certificatesOf(files, 'tls.crt');
  assert.ok(leaf !== undefined, 'tls.crt has no certificate');
  const root = certificatesOf(files, 'ca.crt').find(({ publicKey }) => leaf.verify(publicKey));
  assert.ok(root !== undefined, 'no root in ca.crt signed the certificate in tls.crt');
  return { serial: serialOf(leaf), root: fingerprintOf(root) };
}

/** The fingerprints of the roots in ca.crt. */
export function rootsIn(files: SecretFiles): string[] {
  return certificatesOf(files, 'ca.crt').map(fingerprintOf);
}

/** The certificates in a file of a Secret. */
export function certificatesOf(files: SecretFiles, name: string): X509Certificate[] {
  return pemCertificates(Buffer.from(files[name] ?? []).toString()).map((pem) => new X509Certificate(pem));
}

/** The fingerprint in the format of status. */
export const fingerprintOf = ({ fingerprint256 }: X509Certificate): string =>
  fingerprint256.replaceAll(':', '').toLowerCase();
