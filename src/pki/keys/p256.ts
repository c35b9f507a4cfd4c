import { createECDH, type KeyObject } from 'node:crypto';
import { bitString, encode, explicit, octetString, oid, sequence, wholeNumber } from '../asn1/der.ts';

/**
 * Keys on P-256, the default, by their octets. OpenSSL's encoders and decoders look up how they are to work for every key
 * anew, which takes as long as its arithmetic; and they believe the public half that a private key brings along, which is
 * worked out here.
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

/** PKCS#8 (RFC 5958 2) of an ECPrivateKey (RFC 5915 3) with its public half and without a curve of its own, as OpenSSL has it. */
const pkcs8 = ({ secret, point }: P256KeyPair): Buffer =>
  encode(
    sequence(
      wholeNumber(0),
      algorithm,
      octetString(encode(sequence(wholeNumber(1), octetString(secret), explicit(1, bitString(point))))),
    ),
  );

// All lengths are constant, and so is everything but the key itself.
const blank = { secret: Buffer.alloc(secretLength), point: Buffer.alloc(pointLength) };
const blankInfo = publicInfo(blank.point);
const blankPkcs8 = pkcs8(blank);
const infoHead = blankInfo.subarray(0, -pointLength);
const secretAt = 36;
const pkcs8Head = blankPkcs8.subarray(0, secretAt);
const pkcs8Middle = blankPkcs8.subarray(secretAt + secretLength, -pointLength);

/** Both encodings of a private key, which has to be on the curve and to name it. */
export function encodeP256(key: KeyObject): { readonly pkcs8: Buffer; readonly publicInfo: Buffer } {
  const { d = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return {
    pkcs8: Buffer.concat([pkcs8Head, Buffer.from(d, 'base64url'), pkcs8Middle, point], blankPkcs8.length),
    publicInfo: Buffer.concat([infoHead, point], blankInfo.length),
  };
}

/** The key pair in a PKCS#8 of the one form that is written here; undefined for any other, which may be a good one, too. */
export function readP256(der: Buffer): P256KeyPair | undefined {
  const pointAt = secretAt + secretLength + pkcs8Middle.length;
  const isOfForm =
    der.length === blankPkcs8.length &&
    der.subarray(0, secretAt).equals(pkcs8Head) &&
    der.subarray(secretAt + secretLength, pointAt).equals(pkcs8Middle);
  if (!isOfForm) return undefined;
  return { secret: der.subarray(secretAt, secretAt + secretLength), point: der.subarray(pointAt) };
}

/** True when the private number makes the point that stands beside it, and that is the one of a SubjectPublicKeyInfo. */
export function isKeyPairOf({ secret, point }: P256KeyPair, info: Buffer): boolean {
  const isSame = info.length === blankInfo.length && info.subarray(0, infoHead.length).equals(infoHead);
  return isSame && info.subarray(infoHead.length).equals(point) && makesPoint(secret)?.equals(point) === true;
}

function makesPoint(secret: Buffer): Buffer | undefined {
  // Not one for all, which would be faster by 5 µs: it would hold the last key for as long as nobody reads another.
  const pair = createECDH('prime256v1');
  try {
    pair.setPrivateKey(secret);
    return pair.getPublicKey();
  } catch {
    // Zero, or not below the order of the curve. No cause: it would be about key material.
    return undefined;
  }
}
