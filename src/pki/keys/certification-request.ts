import { createPublicKey, type KeyObject } from 'node:crypto';
import { expectTag, positiveInteger, readOid, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';
import { checkPublicKey, rsaEncryption } from './input-limits.ts';
import { notePublicInfo } from './key.ts';

/** Octets of a request. With an RSA key of 4096 bits, the empty request of kubelet has about 1100. */
const longestRequest = 64 * 1024;

/**
 * The SubjectPublicKeyInfo in a PKCS#10 request (RFC 2986 4). Names, attributes and the signature are not read: the API server
 * has verified the signature of a PodCertificateRequest. The result is a copy: a view would keep the request in memory.
 * @throws PkiError TooLarge, MalformedDer, UnsupportedKey
 */
export function publicKeyInRequest(der: Buffer): Buffer {
  if (der.length > longestRequest) {
    throw new PkiError('TooLarge', `the request has ${der.length} octets; at most ${longestRequest} are allowed`);
  }
  const [info] = readOnly(der, tags.sequence).children();
  const [, , key] = expectTag(info, tags.sequence).children();
  const { der: publicKey } = expectTag(key, tags.sequence);
  checkPublicKey(publicKey);
  checkExponent(publicKey);
  // Not Buffer.from: a small copy from the pool of Node.js may keep 8 KiB in memory.
  const copy = Buffer.alloc(publicKey.length);
  publicKey.copy(copy);
  return copy;
}

/** FIPS 186-5 A.1.1. The API server accepts smaller exponents. */
const leastExponent = 65_537;
/** Go accepts at most 31 bits. */
const mostExponent = 2 ** 31 - 1;

/** @throws PkiError UnsupportedKey for an RSA key that no certificate may have */
function checkExponent(info: Buffer): void {
  const [algorithm, bits] = readOnly(info, tags.sequence).children();
  if (readOid(expectTag(algorithm, tags.sequence).children()[0]) !== rsaEncryption) return;
  const key = expectTag(bits, tags.bitString).content.subarray(1);
  const exponent = positiveInteger(readOnly(key, tags.sequence).children()[1]);
  const value = exponent === undefined || exponent.length > 4 ? 0 : exponent.readUIntBE(0, exponent.length);
  if (value % 2 === 0 || value < leastExponent || value > mostExponent) {
    const message = `the public exponent of an RSA key must be odd and from ${leastExponent} to ${mostExponent}`;
    throw new PkiError('UnsupportedKey', message);
  }
}

/**
 * The public key of a SubjectPublicKeyInfo.
 * @throws PkiError MalformedKey, MalformedDer, UnsupportedKey
 */
export function parsePublicKey(info: Buffer): KeyObject {
  checkPublicKey(info);
  try {
    const key = createPublicKey({ key: info, format: 'der', type: 'spki' });
    notePublicInfo(key, info);
    return key;
  } catch (cause) {
    throw new PkiError('MalformedKey', 'the public key cannot be read', { cause });
  }
}
