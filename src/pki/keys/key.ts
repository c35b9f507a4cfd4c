import { createPrivateKey, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { expectTag, readOnly, tags } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { encodePem, parsePem } from '../asn1/pem.ts';
import { PkiError } from '../pki-error.ts';
import { encodeP256, isPlainInfo } from './p256.ts';

/** A kind of key pair. Sizes are bits: RSA modulus, or the field of the NIST curve. */
export type KeySpec =
  | { readonly algorithm: 'RSA'; readonly size: 2048 | 3072 | 4096 | 8192 }
  | { readonly algorithm: 'ECDSA'; readonly size: 256 | 384 | 521 }
  | { readonly algorithm: 'Ed25519' };

/** How a private key is written: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017, RSA only), SEC1 (RFC 5915, ECDSA only). */
export type KeyEncoding = 'PKCS8' | 'PKCS1' | 'SEC1';

export const curves = { 256: 'prime256v1', 384: 'secp384r1', 521: 'secp521r1' } as const;
const pemLabels: Record<KeyEncoding, string> = {
  PKCS8: 'PRIVATE KEY',
  PKCS1: 'RSA PRIVATE KEY',
  SEC1: 'EC PRIVATE KEY',
};
/** Node.js's names for the encodings. */
const opensslTypes = { PKCS8: 'pkcs8', PKCS1: 'pkcs1', SEC1: 'sec1' } as const;
const verifyInPool = promisify<string | null, Buffer, KeyObject, Buffer, boolean>(verify);

const madeHere = new WeakSet<KeyObject>();

/** Records that this process generated a key: its kind is known, and its curve is a named one. */
export function noteGenerated(key: KeyObject, spec: KeySpec): void {
  kinds.set(key, describeKeySpec(spec));
  madeHere.add(key);
}

const kinds = new WeakMap<KeyObject, string>();

/** The kind of a key: `RSA-2048`, `ECDSA-256` or `Ed25519`; for any other key, the name that Node.js uses. */
export function describeKey(key: KeyObject): string {
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const kind = kindOf(key);
  kinds.set(key, kind);
  return kind;
}

function kindOf(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return `RSA-${details?.modulusLength}`;
    case 'ec': {
      const size = Object.entries(curves).find(([, curve]) => curve === details?.namedCurve)?.[0];
      return size === undefined ? `EC-${details?.namedCurve}` : `ECDSA-${size}`;
    }
    case 'ed25519':
      return 'Ed25519';
    default:
      return String(key.asymmetricKeyType);
  }
}

/** The kind of a requested key, in the form of describeKey. */
export const describeKeySpec = (spec: KeySpec): string =>
  spec.algorithm === 'Ed25519' ? 'Ed25519' : `${spec.algorithm}-${spec.size}`;

const publicKeys = new WeakMap<KeyObject, Buffer>();

/** DER of the SubjectPublicKeyInfo of a private or public key (RFC 5280 4.1.2.7). Cached: each issuance needs it several times. */
export function publicKeyDer(key: KeyObject): Buffer {
  const known = publicKeys.get(key);
  if (known !== undefined) return known;
  const der = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
  publicKeys.set(key, der);
  return der;
}

/**
 * Records what a public key was read from. For a plain key on P-256, OpenSSL's encoder would return the same octets, and takes longer
 * than the arithmetic.
 */
export function notePublicInfo(key: KeyObject, info: Buffer): void {
  if (!isPlainInfo(info)) return;
  kinds.set(key, 'ECDSA-256');
  publicKeys.set(key, info);
}

/**
 * PEM of a private key. Key material becomes text only here. The result may be written only into a Secret.
 * @throws PkiError InvalidRequest when the encoding does not fit the key
 */
export function encodePrivateKey(key: KeyObject, encoding: KeyEncoding): string {
  const fits = { PKCS8: true, PKCS1: key.asymmetricKeyType === 'rsa', SEC1: key.asymmetricKeyType === 'ec' }[encoding];
  if (!fits) throw new PkiError('InvalidRequest', `${encoding} cannot hold a key of type ${describeKey(key)}`);
  return encodePem(
    pemLabels[encoding],
    isPlainP256(key, encoding) ? encodePlainP256(key) : exportPrivateKey(key, encoding),
  );
}

/** A key that was read may have explicit curve parameters (see curveIsNamed), so only generated keys take the fast path. */
const isPlainP256 = (key: KeyObject, encoding: KeyEncoding): boolean =>
  encoding === 'PKCS8' && madeHere.has(key) && describeKey(key) === 'ECDSA-256';

/** Also caches the public key, which the caller needs next. */
function encodePlainP256(key: KeyObject): Buffer {
  const { pkcs8, publicInfo } = encodeP256(key);
  publicKeys.set(key, publicInfo);
  return pkcs8;
}

const exportPrivateKey = (key: KeyObject, encoding: KeyEncoding): Buffer =>
  key.export({ type: opensslTypes[encoding], format: 'der' });

/**
 * The private key of a PEM text and its encoding. The text must hold exactly one key. openssl may write an
 * `EC PARAMETERS` block before it.
 * @throws PkiError MalformedPem, TooLarge, EncryptedKey, MalformedKey; the message never quotes the text
 */
export function parsePrivateKey(pem: string): { key: KeyObject; encoding: KeyEncoding } {
  const { der, encoding } = parseKeyBlock(pem);
  return { key: parseKeyDer(der, encoding), encoding };
}

/** Like parsePrivateKey, but does not parse the DER. @throws PkiError MalformedPem, TooLarge, EncryptedKey, MalformedKey */
export function parseKeyBlock(pem: string): { der: Buffer; encoding: KeyEncoding } {
  const blocks = parsePem(pem).filter(({ label }) => label !== 'EC PARAMETERS');
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw new PkiError('MalformedKey', `expected one private key, found ${blocks.length} PEM blocks`);
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY') throw new PkiError('EncryptedKey', 'the private key is encrypted');
  const encoding = (Object.keys(pemLabels) as KeyEncoding[]).find((name) => pemLabels[name] === block.label);
  if (encoding === undefined) throw new PkiError('MalformedKey', 'the PEM block is not a private key');
  return { der: block.der, encoding };
}

/**
 * The DER of the private key in a PEM text, in the same encoding.
 * @throws PkiError as parsePrivateKey
 */
export function privateKeyDer(pem: string): Buffer {
  const { key, encoding } = parsePrivateKey(pem);
  return exportPrivateKey(key, encoding);
}

/** The tag of the field after the version: the algorithm, the modulus or the key itself. */
const secondTags: Record<KeyEncoding, number> = { PKCS8: tags.sequence, PKCS1: tags.integer, SEC1: tags.octetString };

/** @throws PkiError MalformedKey */
export function parseKeyDer(der: Buffer, encoding: KeyEncoding): KeyObject {
  try {
    // Node.js accepts a key under the wrong label, for example PKCS#1 as PKCS#8. Other programs do not.
    expectTag(readOnly(der, tags.sequence).children()[1], secondTags[encoding]);
    return createPrivateKey({ key: der, format: 'der', type: opensslTypes[encoding] });
  } catch {
    // No cause: OpenSSL's error could contain key material.
    throw new PkiError('MalformedKey', 'the private key cannot be read');
  }
}

/** A signature algorithm: its identifier, its digest, and whether the identifier has NULL parameters. */
export interface SignatureAlgorithm {
  readonly oid: string;
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null;
  readonly nullParameters: boolean;
}

/**
 * The algorithm that a key signs with. The digest matches the strength of the key (SP 800-57 part 1, tables 2 and 3).
 * @throws PkiError UnsupportedKey
 */
export function signatureAlgorithm(key: KeyObject): SignatureAlgorithm {
  const kind = describeKey(key);
  const fixed = signatureAlgorithms[kind];
  if (fixed !== undefined) return fixed;
  const bits = key.asymmetricKeyType === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 0;
  if (bits < 2048) throw new PkiError('UnsupportedKey', `a key of type ${kind} may not sign`);
  if (bits < 4096) return rsaSignatures.sha256;
  return bits < 8192 ? rsaSignatures.sha384 : rsaSignatures.sha512;
}

const signatureAlgorithms: Readonly<Record<string, SignatureAlgorithm>> = {
  'ECDSA-256': { oid: oids.ecdsaWithSha256, digest: 'sha256', nullParameters: false },
  'ECDSA-384': { oid: oids.ecdsaWithSha384, digest: 'sha384', nullParameters: false },
  'ECDSA-521': { oid: oids.ecdsaWithSha512, digest: 'sha512', nullParameters: false },
  Ed25519: { oid: oids.ed25519, digest: null, nullParameters: false },
};

const rsaSignatures = {
  sha256: { oid: oids.sha256WithRsa, digest: 'sha256', nullParameters: true },
  sha384: { oid: oids.sha384WithRsa, digest: 'sha384', nullParameters: true },
  sha512: { oid: oids.sha512WithRsa, digest: 'sha512', nullParameters: true },
} as const;

/** The accepted signature algorithms by identifier, with the type of key and the digest that verify them. */
export const acceptedSignatures: ReadonlyMap<string, { readonly keyType: string; readonly digest: string | null }> =
  new Map([
    [oids.ecdsaWithSha256, { keyType: 'ec', digest: 'sha256' }],
    [oids.ecdsaWithSha384, { keyType: 'ec', digest: 'sha384' }],
    [oids.ecdsaWithSha512, { keyType: 'ec', digest: 'sha512' }],
    [oids.sha256WithRsa, { keyType: 'rsa', digest: 'sha256' }],
    [oids.sha384WithRsa, { keyType: 'rsa', digest: 'sha384' }],
    [oids.sha512WithRsa, { keyType: 'rsa', digest: 'sha512' }],
    [oids.ed25519, { keyType: 'ed25519', digest: null }],
  ]);

/** The signed octets, the signature over them, and the identifier of the algorithm. */
export interface Signed {
  readonly tbs: Buffer;
  readonly signature: Buffer;
  readonly signatureOid: string;
}

/** True when the algorithm is accepted and the key verifies the signature. */
export function verifiesSigned(key: KeyObject, signed: Signed): boolean {
  const algorithm = acceptedFor(key, signed);
  return algorithm !== undefined && verify(algorithm.digest, signed.tbs, key, signed.signature);
}

/** Like verifiesSigned, but in the thread pool. */
export async function verifiesSignedInPool(key: KeyObject, signed: Signed): Promise<boolean> {
  const algorithm = acceptedFor(key, signed);
  return algorithm !== undefined && verifyInPool(algorithm.digest, signed.tbs, key, signed.signature);
}

function acceptedFor(key: KeyObject, { signatureOid }: Signed): { readonly digest: string | null } | undefined {
  const algorithm = acceptedSignatures.get(signatureOid);
  return algorithm?.keyType === key.asymmetricKeyType ? algorithm : undefined;
}
