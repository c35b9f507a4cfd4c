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

/** What is left of a key pair that is not in the form in which it was written. */
export interface RecoverableLeaf {
  /** See publicKeyDigest: of the private key, where that can be read and its halves belong together. */
  readonly publicKey?: string;
  /** The leaf of that key, where tls.crt still holds it and the chain above it, up to a root that is known. */
  readonly restorable?: LeafRecord;
}

/** The SHA-256 of the SubjectPublicKeyInfo of a key, in lower-case hex. */
export const publicKeyDigest = (key: KeyObject): string => sha256Hex(publicKeyDer(key));

/** Finds what can still be used of a damaged key pair. Never throws for what is in it. */
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
 * The leaf of a key among the certificates of a PEM text, whatever else the text holds and in whatever order, and the
 * intermediates above the leaf. Undefined when the leaf is not there, or none of the roots has signed its chain.
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
  // A certificate that was renewed for the same key may stand next to the one before.
  const leaf = leaves.sort((a, b) => b.notBefore.getTime() - a.notBefore.getTime())[0];
  if (leaf === undefined) return undefined;
  const intermediates = intermediatesAbove(leaf, certificates);
  const isSound = canBeChain(leaf, intermediates) && verifiedRoot([leaf, ...intermediates], roots) !== undefined;
  return isSound ? { leaf, intermediates } : undefined;
}

/** By what the certificates say of each other: their signatures are verified from the top, when the top is known. */
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
