import { createECDH, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { positiveInteger, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';
import { checkKeyText, checkPrivateKey } from './input-limits.ts';
import { describeKey, type KeyEncoding, parseKeyBlock, parseKeyDer, publicKeyDer } from './key.ts';

/**
 * True when the private key matches the public key that is stored with it. OpenSSL does not check this for RSA and ECDSA,
 * and compares only the stored public key with a certificate. A damaged key would look valid until a handshake fails.
 * For Ed25519, OpenSSL computes the public key, so a damaged key does not match its certificate.
 * @param der the encoded private key
 * @param publicInfo DER of the SubjectPublicKeyInfo, equal to the public key stored in `der`
 */
export function matchesPublicKey(key: KeyObject, der: Buffer, encoding: KeyEncoding, publicInfo: Buffer): boolean {
  if (key.asymmetricKeyType === 'rsa') return rsaNumbersFit(der, encoding);
  const curve = curves[describeKey(key)];
  return curve === undefined || makesPoint(key, curve, publicInfo);
}

/**
 * Parses a private key and checks that it matches the public key stored with it.
 * @throws PkiError as parsePrivateKey; MalformedKey when they do not match; TooLarge and UnsupportedKey for a key that no leaf has
 */
export function parseValidKey(pem: string): KeyObject {
  checkKeyText(pem);
  const { der, encoding } = parseKeyBlock(pem);
  checkPrivateKey(der, encoding);
  const key = parseKeyDer(der, encoding);
  if (matchesPublicKey(key, der, encoding, publicKeyDer(key))) return key;
  throw new PkiError('MalformedKey', 'the private key does not match the public key stored with it');
}

/** Octets of the SubjectPublicKeyInfo of P-384 and P-521 keys. No other key that the operator writes has these lengths. */
const slowLengths: ReadonlySet<number> = new Set([120, 158]);

/** True for keys whose check (matchesPublicKey) takes milliseconds. */
export const isSlowToProve = (publicInfo: Buffer): boolean => slowLengths.has(publicInfo.length);

/** Checks in the thread pool, with a signature, that two keys match. For the keys that are slow to check. */
export async function provesPossessionInPool(key: KeyObject, publicKey: KeyObject): Promise<boolean> {
  try {
    return await verifyInPool('sha256', probe, publicKey, await signInPool('sha256', probe, key));
  } catch {
    // The number is out of range for a key. No cause: it could contain key material.
    return false;
  }
}

const probe = Buffer.from('a key that signs what its certificate verifies');
const signInPool = promisify<string, Buffer, KeyObject, Buffer>(sign);
const verifyInPool = promisify<string, Buffer, KeyObject, Buffer, boolean>(verify);

const curves: Readonly<Record<string, string>> = {
  'ECDSA-256': 'prime256v1',
  'ECDSA-384': 'secp384r1',
  'ECDSA-521': 'secp521r1',
};

function makesPoint(key: KeyObject, curve: string, publicInfo: Buffer): boolean {
  const pair = createECDH(curve);
  try {
    pair.setPrivateKey(Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url'));
  } catch {
    // Zero, or not below the order of the curve. No cause: it could contain key material.
    return false;
  }
  const point = pair.getPublicKey();
  return publicInfo.subarray(-point.length).equals(point);
}

/**
 * Checks every number of an RSAPrivateKey (RFC 8017 A.1.2, 3.2). A test signature would not find a damaged number, because
 * OpenSSL ignores or recomputes some of them, while other programs refuse the key. This check is also cheaper.
 */
function rsaNumbersFit(der: Buffer, encoding: KeyEncoding): boolean {
  const [, ...elements] = readOnly(pkcs1Of(der, encoding), tags.sequence).children();
  const numbers = elements.map((element) => positiveInteger(element));
  const [n, e, d, p, q, dp, dq, inverse, ...more] = numbers.map((octets) =>
    octets === undefined || octets.length === 0 ? 0n : BigInt(`0x${octets.toString('hex')}`),
  );
  if (!n || !e || !d || !p || !q || !dp || !dq || !inverse || more.length > 0) return false;
  const one = 1n;
  if (p === one || q === one || p * q !== n) return false;
  const product = d * e;
  const fits = [product % (p - one), product % (q - one), (inverse * q) % p].every((rest) => rest === one);
  return fits && d % (p - one) === dp && d % (q - one) === dq;
}

/** RFC 5958 2: the third field of PKCS#8 contains the PKCS#1 key. */
function pkcs1Of(der: Buffer, encoding: KeyEncoding): Buffer {
  if (encoding === 'PKCS1') return der;
  return readOnly(der, tags.sequence).children()[2]?.content ?? Buffer.alloc(0);
}
