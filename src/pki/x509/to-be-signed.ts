import { hash, type KeyObject, sign } from 'node:crypto';
import {
  type Asn1,
  bitString,
  boolean,
  encode,
  encoded,
  nullValue,
  octetString,
  oid,
  readOnly,
  sequence,
  tags,
} from '../asn1/der.ts';
import { publicKeyDer, signatureAlgorithm } from '../keys/key.ts';

/**
 * What certificates and CRLs have in common (RFC 5280 4.1.1, 5.1.1): the fields, which name the algorithm that they will be
 * signed with. The algorithm follows the key.
 * @throws PkiError UnsupportedKey
 */
export const encodeFields = (fields: (algorithm: Asn1) => Asn1, key: KeyObject): Buffer =>
  encode(fields(algorithmIdentifier(key)));

/** And the signature over the fields, with the algorithm beside it once more. */
export const signFields = (fields: Buffer, key: KeyObject): Buffer =>
  encode(
    sequence(encoded(fields), algorithmIdentifier(key), bitString(sign(signatureAlgorithm(key).digest, fields, key))),
  );

function algorithmIdentifier(key: KeyObject): Asn1 {
  const { oid: id, nullParameters } = signatureAlgorithm(key);
  return sequence(oid(id), ...(nullParameters ? [nullValue()] : []));
}

/** An extension that is yet to be encoded (RFC 5280 4.1). */
export const extension = (id: string, critical: boolean, value: Asn1): Asn1 =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(encode(value)));

/** RFC 7093 2, method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
export function keyIdentifier(key: KeyObject): Buffer {
  const [, bits] = readOnly(publicKeyDer(key), tags.sequence).children();
  const content = bits?.content.subarray(1) ?? Buffer.alloc(0);
  return Buffer.from(hash('sha256', content, 'hex').slice(0, 40), 'hex');
}

/** The moment without its fraction of a second, which no field has room for. */
export const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
