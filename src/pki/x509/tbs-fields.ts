import { hash, type KeyObject } from 'node:crypto';
import { type Asn1, boolean, octetStringOf, oid, readOnly, sequence, tags } from '../asn1/der.ts';
import { publicKeyDer } from '../keys/key.ts';

/** Builds an extension (RFC 5280 4.1). */
export const extension = (id: string, critical: boolean, value: Asn1): Asn1 =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octetStringOf(value));

/** RFC 7093 2, method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
export function keyIdentifier(key: KeyObject): Buffer {
  const [, bits] = readOnly(publicKeyDer(key), tags.sequence).children();
  const content = bits?.content.subarray(1) ?? Buffer.alloc(0);
  return Buffer.from(hash('sha256', content, 'hex').slice(0, 40), 'hex');
}

/** Truncates a time to whole seconds, the precision of certificates. */
export const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
