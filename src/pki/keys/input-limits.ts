import { type Element, expectTag, readOid, readOnly, tags } from '../asn1/der.ts';
import { type PemBlock, parsePem } from '../asn1/pem.ts';
import { PkiError } from '../pki-error.ts';
import type { KeyEncoding } from './key.ts';

/**
 * Limits on a key pair that is read from a Secret. Any tenant can write such a Secret, so sizes, counts and key types are
 * checked before OpenSSL parses anything and before any signature is verified.
 */
const workLimits = {
  /** Characters of tls.crt. With the longest names that a spec allows, a certificate has about 150,000. */
  certificateText: 256 * 1024,
  /** Certificates in tls.crt. A chain has at most 8, and other programs may write duplicates. */
  certificates: 16,
  /** Characters of tls.key. An RSA key of 8192 bits has about 6500. */
  keyText: 16 * 1024,
  /** Octets of an RSA modulus: 8192 bits and a leading zero. */
  rsaModulus: 1025,
  /** Octets of a public exponent: 32 bits and a leading zero. */
  rsaExponent: 5,
} as const;

/** The blocks of tls.crt. @throws PkiError TooLarge, MalformedPem, EncryptedKey */
export function parseCertificateText(text: string): PemBlock[] {
  const { certificateText, certificates } = workLimits;
  if (text.length > certificateText) {
    throw new PkiError('TooLarge', `tls.crt has ${text.length} characters; at most ${certificateText} are allowed`);
  }
  const blocks = parsePem(text);
  if (blocks.length > certificates) {
    throw new PkiError('TooLarge', `tls.crt has ${blocks.length} PEM blocks; at most ${certificates} are allowed`);
  }
  return blocks;
}

/** @throws PkiError TooLarge */
export function checkKeyText(text: string): void {
  if (text.length > workLimits.keyText) {
    throw new PkiError('TooLarge', `tls.key has ${text.length} characters; at most ${workLimits.keyText} are allowed`);
  }
}

const ecPublicKey = '1.2.840.10045.2.1';
export const rsaEncryption = '1.2.840.113549.1.1.1';
const ed25519 = '1.3.101.112';

/** Octets of a field element, by the identifier of the curve: P-256, P-384 and P-521. */
const curves: ReadonlyMap<string, number> = new Map([
  ['1.2.840.10045.3.1.7', 32],
  ['1.3.132.0.34', 48],
  ['1.3.132.0.35', 66],
]);

/**
 * Checks that a public key has a type and size that the operator issues certificates for.
 * @param info DER of the SubjectPublicKeyInfo
 * @throws PkiError UnsupportedKey, MalformedDer
 */
export function checkPublicKey(info: Buffer): void {
  const [algorithm, bits] = readOnly(info, tags.sequence).children();
  const kind = kindOf(algorithm);
  const octets = expectTag(bits, tags.bitString).content.subarray(1);
  if (kind === 'rsa') checkRsa(readOnly(octets, tags.sequence).children());
  else if (octets.length > 2 * kind + 1) throw unsupported();
}

/**
 * Checks that a private key has a type and size that the operator issues certificates for.
 * @throws PkiError MalformedKey, UnsupportedKey; the message never contains key material
 */
export function checkPrivateKey(der: Buffer, encoding: KeyEncoding): void {
  try {
    checkKeyFields(readOnly(der, tags.sequence).children(), encoding);
  } catch (error) {
    // No cause: it could contain key material.
    if (error instanceof PkiError && error.code === 'UnsupportedKey') throw unsupported();
    throw new PkiError('MalformedKey', 'the private key cannot be read');
  }
}

function checkKeyFields(fields: readonly Element[], encoding: KeyEncoding): void {
  // RFC 8017 A.1.2: the version comes first.
  if (encoding === 'PKCS1') return checkRsa(fields.slice(1));
  // RFC 5915 3: the name of the curve has the tag [0]. OpenSSL refuses a key without it.
  if (encoding === 'SEC1') {
    const curve = fields.find(({ tag }) => tag === 0xa0)?.children()[0];
    if (curve === undefined || curve.tag !== tags.oid || !curves.has(readOid(curve))) throw unsupported();
    return;
  }
  const [, algorithm, key] = fields;
  const kind = kindOf(algorithm);
  const { content } = expectTag(key, tags.octetString);
  if (kind === 'rsa') checkRsa(readOnly(content, tags.sequence).children().slice(1));
  // RFC 5915 3: the number, the point and their headers. A second copy of the curve parameters would exceed this.
  else if (content.length > 3 * kind + 32) throw unsupported();
}

/** Reads the type of key from an AlgorithmIdentifier. Returns 'rsa', or for an EC or Ed25519 key the octets of one coordinate. */
function kindOf(algorithm: Element | undefined): 'rsa' | number {
  const [id, parameters] = expectTag(algorithm, tags.sequence).children();
  switch (readOid(id)) {
    case rsaEncryption:
      return 'rsa';
    case ed25519:
      return 32;
    case ecPublicKey: {
      // RFC 5480 2.1.1: named curves only. With explicit parameters, an attacker could choose the cost of verification.
      const octets = parameters?.tag === tags.oid ? curves.get(readOid(parameters)) : undefined;
      if (octets !== undefined) return octets;
      throw unsupported();
    }
    default:
      throw unsupported();
  }
}

/** In a public and in a private key, the modulus and the public exponent come first (RFC 8017 A.1). */
function checkRsa([modulus, exponent]: readonly Element[]): void {
  const { rsaModulus, rsaExponent } = workLimits;
  const isShort = (element: Element | undefined, most: number) =>
    expectTag(element, tags.integer).content.length <= most;
  if (!isShort(modulus, rsaModulus) || !isShort(exponent, rsaExponent)) throw unsupported();
}

const unsupported = (): PkiError =>
  new PkiError(
    'UnsupportedKey',
    'the key is neither RSA of at most 8192 bits, nor ECDSA on P-256, P-384 or P-521, nor Ed25519',
  );
