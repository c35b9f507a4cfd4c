import { createECDH, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { positiveInteger, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';
import { checkKeyText, checkPrivateKey } from './input-limits.ts';
import { describeKey, type KeyEncoding, parseKeyBlock, parseKeyDer, publicKeyDer } from './key.ts';

/**
 * Whether the private half of a key makes its public half. OpenSSL believes the public half that RSA and ECDSA keys bring
 * along, and compares only that with a certificate: a damaged key looks sound until a handshake fails. Of Ed25519 it works the
 * public half out by itself, so that a damaged one belongs to another certificate.
 * @param der what the key was read from
 * @param publicInfo DER of the SubjectPublicKeyInfo, which the public half that the key brings along is equal to
 */
export function matchesPublicKey(key: KeyObject, der: Buffer, encoding: KeyEncoding, publicInfo: Buffer): boolean {
  if (key.asymmetricKeyType === 'rsa') return rsaNumbersFit(der, encoding);
  const curve = curves[describeKey(key)];
  return curve === undefined || makesPoint(key, curve, publicInfo);
}

/**
 * The private key in a PEM text, whose halves belong together.
 * @throws PkiError as parsePrivateKey, MalformedKey when they do not, and TooLarge and UnsupportedKey for other keys than leaves have
 */
export function parseValidKey(pem: string): KeyObject {
  checkKeyText(pem);
  const { der, encoding } = parseKeyBlock(pem);
  checkPrivateKey(der, encoding);
  const key = parseKeyDer(der, encoding);
  if (matchesPublicKey(key, der, encoding, publicKeyDer(key))) return key;
  throw new PkiError('MalformedKey', 'the private half of the key does not make its public half');
}

/** Octets of the SubjectPublicKeyInfo of an ECDSA key on P-384 and on P-521: no other key that is written here has as many. */
const slowLengths: ReadonlySet<number> = new Set([120, 158]);

/** True for keys of which that takes milliseconds, by their public half. */
export const isSlowToProve = (publicInfo: Buffer): boolean => slowLengths.has(publicInfo.length);

/** The same in the thread pool, by a signature: for the keys that are slow to prove. */
export async function provesPossessionInPool(key: KeyObject, publicKey: KeyObject): Promise<boolean> {
  try {
    return await verifyInPool('sha256', probe, publicKey, await signInPool('sha256', probe, key));
  } catch {
    // No number that a key can be. No cause: it would be about key material.
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
    // Zero, or not below the order of the curve. No cause: it would be about key material.
    return false;
  }
  const point = pair.getPublicKey();
  return publicInfo.subarray(-point.length).equals(point);
}

/**
 * All numbers of an RSAPrivateKey (RFC 8017 A.1.2, 3.2). A signature would not show a damaged one: OpenSSL does without those
 * that it does not need, and works round those that are wrong, while other programs refuse the key. It is cheaper, too.
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

/** RFC 5958 2: in PKCS#8 it is in the third field. */
function pkcs1Of(der: Buffer, encoding: KeyEncoding): Buffer {
  if (encoding === 'PKCS1') return der;
  return readOnly(der, tags.sequence).children()[2]?.content ?? Buffer.alloc(0);
}
