import { type Element, expectTag, readOid, readOnly, tags } from '../asn1/der.ts';
import { type PemBlock, parsePem } from '../asn1/pem.ts';
import { PkiError } from '../pki-error.ts';
import type { KeyEncoding } from './key.ts';

/**
 * What reading a key pair of a Secret may cost. Anybody can write such a Secret, so sizes, counts and kinds of keys are
 * checked before OpenSSL gets any of it, and before anything is verified.
 */
const workLimits = {
  /** Characters of tls.crt. The longest names that spec takes make a certificate of some 150,000. */
  certificateText: 256 * 1024,
  /** Certificates in tls.crt. A chain has 8 at most; other programs add one a second time. */
  certificates: 16,
  /** Characters of tls.key. An RSA key of 8192 bits has some 6500. */
  keyText: 16 * 1024,
  /** Octets of an RSA modulus, with the zero in front of it: 8192 bits. */
  rsaModulus: 1025,
  /** Octets of a public exponent, likewise: 32 bits. */
  rsaExponent: 5,
} as const;

/** The blocks of tls.crt. @throws PkiError TooLarge, MalformedPem, EncryptedKey */
export function parseCertificateText(text: string): PemBlock[] {
  const { certificateText, certificates } = workLimits;
  if (text.length > certificateText) {
    throw new PkiError('TooLarge', `tls.crt has ${text.length} characters, at most ${certificateText}`);
  }
  const blocks = parsePem(text);
  if (blocks.length > certificates) {
    throw new PkiError('TooLarge', `tls.crt has ${blocks.length} PEM blocks, at most ${certificates}`);
  }
  return blocks;
}

/** @throws PkiError TooLarge */
export function checkKeyText(text: string): void {
  if (text.length > workLimits.keyText) {
    throw new PkiError('TooLarge', `tls.key has ${text.length} characters, at most ${workLimits.keyText}`);
  }
}

const ecPublicKey = '1.2.840.10045.2.1';
const rsaEncryption = '1.2.840.113549.1.1.1';
const ed25519 = '1.3.101.112';

/** Octets of a number on each curve that a key may be on: P-256, P-384 and P-521, by name. */
const curves: ReadonlyMap<string, number> = new Map([
  ['1.2.840.10045.3.1.7', 32],
  ['1.3.132.0.34', 48],
  ['1.3.132.0.35', 66],
]);

/**
 * Checks that a public key is of a kind that the operator issues certificates for, and not larger than such a key.
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
 * The same for a private key.
 * @throws PkiError MalformedKey, UnsupportedKey; never with any of the key in the message
 */
export function checkPrivateKey(der: Buffer, encoding: KeyEncoding): void {
  try {
    checkKeyFields(readOnly(der, tags.sequence).children(), encoding);
  } catch (error) {
    // No cause: it would be about key material.
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
  // RFC 5915 3: number, point, and what names them. A curve that is spelled out again would not fit.
  else if (content.length > 3 * kind + 32) throw unsupported();
}

/** What an AlgorithmIdentifier says of a key: RSA, or how many octets a number of it has. */
function kindOf(algorithm: Element | undefined): 'rsa' | number {
  const [id, parameters] = expectTag(algorithm, tags.sequence).children();
  switch (readOid(id)) {
    case rsaEncryption:
      return 'rsa';
    case ed25519:
      return 32;
    case ecPublicKey: {
      // RFC 5480 2.1.1: by name. Parameters that somebody made up cost what that person likes.
      const octets = parameters?.tag === tags.oid ? curves.get(readOid(parameters)) : undefined;
      if (octets !== undefined) return octets;
      throw unsupported();
    }
    default:
      throw unsupported();
  }
}

/** The numbers of a key, public or private: modulus and public exponent come first (RFC 8017 A.1). */
function checkRsa([modulus, exponent]: readonly Element[]): void {
  const { rsaModulus, rsaExponent } = workLimits;
  const isShort = (element: Element | undefined, most: number) =>
    expectTag(element, tags.integer).content.length <= most;
  if (!isShort(modulus, rsaModulus) || !isShort(exponent, rsaExponent)) throw unsupported();
}

const unsupported = (): PkiError =>
  new PkiError('UnsupportedKey', 'a key is not RSA of up to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519');
