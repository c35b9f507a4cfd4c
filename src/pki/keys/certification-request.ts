import { createPublicKey, type KeyObject } from 'node:crypto';
import { expectTag, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';
import { checkPublicKey } from './input-limits.ts';

/** Octets of a request. With an RSA key of 4096 bits, the empty request of kubelet has about 1100. */
const longestRequest = 64 * 1024;

/**
 * The SubjectPublicKeyInfo in a PKCS#10 request (RFC 2986 4). Names, attributes and the signature are not read: the API server
 * has verified the signature of a PodCertificateRequest.
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
  return Buffer.from(publicKey);
}

/**
 * The public key of a SubjectPublicKeyInfo.
 * @throws PkiError MalformedKey, MalformedDer, UnsupportedKey
 */
export function parsePublicKey(info: Buffer): KeyObject {
  checkPublicKey(info);
  try {
    return createPublicKey({ key: info, format: 'der', type: 'spki' });
  } catch (cause) {
    throw new PkiError('MalformedKey', 'the public key cannot be read', { cause });
  }
}
