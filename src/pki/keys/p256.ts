import { createECDH, type KeyObject } from 'node:crypto';
import { bitString, encode, explicit, octetString, oid, sequence, wholeNumber } from '../asn1/der.ts';

/**
 * A key on P-256 (the default kind) as raw octets. This code replaces OpenSSL's encoder and decoder for two reasons: their
 * algorithm lookup takes as long as the arithmetic, and they do not check the public key stored in a private key.
 */
export interface P256KeyPair {
  /** 32 octets, the private number. Key material. */
  readonly secret: Buffer;
  /** 65 octets, the uncompressed point. */
  readonly point: Buffer;
}

const secretLength = 32;
const pointLength = 65;

/** RFC 5480 2.1.1: the curve by its name. */
const algorithm = sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));

/** DER of the SubjectPublicKeyInfo. */
const publicInfo = (point: Buffer): Buffer => encode(sequence(algorithm, bitString(point)));

/** PKCS#8 (RFC 5958 2) of an ECPrivateKey (RFC 5915 3) with the public key and without the curve, as OpenSSL writes it. */
const pkcs8 = ({ secret, point }: P256KeyPair): Buffer =>
  encode(
    sequence(
      wholeNumber(0),
      algorithm,
      octetString(encode(sequence(wholeNumber(1), octetString(secret), explicit(1, bitString(point))))),
    ),
  );

// Every octet except the key itself is constant.
const blank = { secret: Buffer.alloc(secretLength), point: Buffer.alloc(pointLength) };
const blankInfo = publicInfo(blank.point);
const blankPkcs8 = pkcs8(blank);
const infoHead = blankInfo.subarray(0, -pointLength);
const secretAt = 36;
const pkcs8Head = blankPkcs8.subarray(0, secretAt);
const pkcs8Middle = blankPkcs8.subarray(secretAt + secretLength, -pointLength);

/** The PKCS#8 and SubjectPublicKeyInfo of a private key on P-256, which must be a named curve. */
export function encodeP256(key: KeyObject): { readonly pkcs8: Buffer; readonly publicInfo: Buffer } {
  const { d = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.of(uncompressed), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return {
    pkcs8: Buffer.concat([pkcs8Head, Buffer.from(d, 'base64url'), pkcs8Middle, point], blankPkcs8.length),
    publicInfo: Buffer.concat([infoHead, point], blankInfo.length),
  };
}

/** The key pair of a PKCS#8 in exactly the form that encodeP256 writes; undefined for every other form, valid or not. */
export function readP256(der: Buffer): P256KeyPair | undefined {
  const pointAt = secretAt + secretLength + pkcs8Middle.length;
  const isOfForm =
    der.length === blankPkcs8.length &&
    der.subarray(0, secretAt).equals(pkcs8Head) &&
    der.subarray(secretAt + secretLength, pointAt).equals(pkcs8Middle);
  if (!isOfForm) return undefined;
  return { secret: der.subarray(secretAt, secretAt + secretLength), point: der.subarray(pointAt) };
}

/**
 * True for a SubjectPublicKeyInfo with the curve by its name and an uncompressed point. OpenSSL writes such a key with the same
 * octets. A point in the hybrid form has the same length.
 */
export const isPlainInfo = (info: Buffer): boolean =>
  info.length === blankInfo.length &&
  info.subarray(0, infoHead.length).equals(infoHead) &&
  info[infoHead.length] === uncompressed;
const uncompressed = 4;

/** True when the private number yields the stored point, and a SubjectPublicKeyInfo contains the same point. */
export function isKeyPairOf({ secret, point }: P256KeyPair, info: Buffer): boolean {
  return (
    isPlainInfo(info) && info.subarray(infoHead.length).equals(point) && makesPoint(secret)?.equals(point) === true
  );
}

function makesPoint(secret: Buffer): Buffer | undefined {
  // A shared object would save 5 µs, but would keep the last key in memory.
  const pair = createECDH('prime256v1');
  try {
    pair.setPrivateKey(secret);
    return pair.getPublicKey();
  } catch {
    // Zero, or not below the order of the curve. No cause: it could contain key material.
    return undefined;
  }
}
