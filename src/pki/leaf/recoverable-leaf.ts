import type { KeyObject } from 'node:crypto';
import { parseCertificateText } from '../keys/input-limits.ts';
import { publicKeyDer } from '../keys/key.ts';
import { parseValidKey } from '../keys/key-pair-check.ts';
import { PkiError } from '../pki-error.ts';
import { type Certificate, sha256Hex } from '../x509/certificate.ts';
import {
  canBeChain,
  type LeafChain,
  type LeafRecord,
  namesAsIssuer,
  readIntermediate,
  readLeaf,
  verifiedRoot,
} from './leaf-record.ts';

/** The parts of a damaged or reformatted key pair that can still be used. */
export interface RecoverableLeaf {
  /** The publicKeyDigest of the private key, if that can be read and matches its stored public key. */
  readonly publicKey?: string;
  /** The leaf of that key, if tls.crt still contains it and its chain to a known root. */
  readonly restorable?: LeafRecord;
}

/** The SHA-256 of the SubjectPublicKeyInfo of a key, in lower-case hex. */
export const publicKeyDigest = (key: KeyObject): string => sha256Hex(publicKeyDer(key));

/** Finds the parts of a damaged key pair that can still be used. Never throws for bad input. */
export function recoverLeaf(certificatePem: string, keyPem: string, roots: readonly Certificate[]): RecoverableLeaf {
  const publicKey = unlessMalformed(() => publicKeyDigest(parseValidKey(keyPem)));
  if (publicKey === undefined) return {};
  const restorable = unlessMalformed(() => {
    const chain = chainWithin(certificatePem, publicKey, roots);
    return chain && readLeaf(chain, keyPem, roots);
  });
  return { publicKey, ...(restorable === undefined ? {} : { restorable }) };
}

/**
 * Finds the leaf of a key and its intermediates in a PEM text, in any order and among other blocks. Undefined when the text
 * does not contain the leaf, or none of the roots has signed its chain.
 * @param publicKey see publicKeyDigest
 * @throws PkiError for a text that cannot be read
 */
export function chainWithin(
  certificatePem: string,
  publicKey: string,
  roots: readonly Certificate[],
): LeafChain | undefined {
  const blocks = parseCertificateText(certificatePem).filter(({ label }) => label === 'CERTIFICATE');
  const certificates = blocks.flatMap(({ der }) => unlessMalformed(() => readIntermediate(der)) ?? []);
  const leaves = certificates.filter(({ publicKeyInfo }) => sha256Hex(publicKeyInfo) === publicKey);
  // After a renewal with the same key, the text may contain both certificates.
  const leaf = leaves.sort((a, b) => b.notBefore.getTime() - a.notBefore.getTime())[0];
  if (leaf === undefined) return undefined;
  const intermediates = intermediatesAbove(leaf, certificates);
  const isSound = canBeChain(leaf, intermediates) && verifiedRoot([leaf, ...intermediates], roots) !== undefined;
  return isSound ? { leaf, intermediates } : undefined;
}

/** Follows the issuer names only. verifiedRoot verifies the signatures, from the top. */
function intermediatesAbove(leaf: Certificate, certificates: readonly Certificate[]): Certificate[] {
  const path: Certificate[] = [];
  for (let below = leaf; ; ) {
    const issuer = certificates.find(
      (one) =>
        one.basicConstraints?.ca === true &&
        !one.subject.equals(one.issuer) &&
        !path.some(({ fingerprint }) => fingerprint === one.fingerprint) &&
        namesAsIssuer(below, one),
    );
    if (issuer === undefined) return path;
    path.push(issuer);
    below = issuer;
  }
}

function unlessMalformed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}
