import { hash } from 'node:crypto';
import { type Element, expectTag, positiveInteger, readOid, readOnly, tags } from '../asn1/der.ts';
import { keyTypes, pointLengths } from './lint-oids.ts';
import { assertRule, violation } from './lint-rule.ts';

export type LeafKeyKind = 'RSA' | 'ECDSA' | 'Ed25519';

/** Checks a SubjectPublicKeyInfo. Returns its kind and the contents of the BIT STRING. */
export function lintPublicKey(info: Element | undefined): { readonly kind: LeafKeyKind; readonly bits: Buffer } {
  const [algorithm, key, ...more] = expectTag(info, tags.sequence).children();
  const { content } = expectTag(key, tags.bitString);
  assertRule(more.length === 0 && content[0] === 0, 'a public key is an algorithm and whole octets (RFC 5280 4.1.2.7)');
  const bits = content.subarray(1);
  const [id, parameters, ...others] = expectTag(algorithm, tags.sequence).children();
  assertRule(others.length === 0, 'the algorithm of a public key is an identifier and its parameters');
  switch (readOid(id)) {
    case keyTypes.rsaEncryption:
      assertRule(parameters?.der.equals(nullDer) === true, 'an RSA key has NULL parameters (RFC 3279 2.3.1)');
      lintRsaKey(bits);
      return { kind: 'RSA', bits };
    case keyTypes.ecPublicKey: {
      assertRule(parameters?.tag === tags.oid, 'an ECDSA key names its curve (RFC 5480 2.1.1)');
      const length = pointLengths[readOid(parameters)];
      assertRule(length !== undefined, 'the curve of an ECDSA key is P-256, P-384 or P-521');
      assertRule(
        bits.length === length && bits[0] === 4,
        'the point of an ECDSA key is uncompressed and of full length',
      );
      return { kind: 'ECDSA', bits };
    }
    case keyTypes.ed25519:
      assertRule(parameters === undefined, 'an Ed25519 key has no parameters (RFC 8410 3)');
      assertRule(bits.length === 32, 'an Ed25519 key has 32 octets');
      return { kind: 'Ed25519', bits };
    default:
      throw violation('the key of a leaf is RSA, ECDSA or Ed25519');
  }
}

const nullDer = Buffer.of(5, 0);
const rsaSizes: ReadonlySet<number> = new Set([2048, 3072, 4096, 8192]);
/** Least: FIPS 186-5 A.1.1. Most: Go accepts at most 31 bits. */
const exponents = { least: 65_537, most: 2 ** 31 - 1 };

function lintRsaKey(bits: Buffer): void {
  const [modulus, exponent, ...more] = readOnly(bits, tags.sequence).children();
  const [n, e] = [modulus, exponent].map((element) => positiveInteger(element));
  assertRule(
    more.length === 0 && n !== undefined && e !== undefined,
    'an RSA key is two positive numbers (RFC 8017 A.1.1)',
  );
  const size = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  assertRule(rsaSizes.has(size), 'an RSA key has 2048, 3072, 4096 or 8192 bits');
  assertRule(((n.at(-1) ?? 0) & 1) === 1, 'the modulus of an RSA key is odd');
  const value = e.length > 4 ? Number.POSITIVE_INFINITY : e.readUIntBE(0, e.length);
  assertRule(
    value % 2 === 1 && value >= exponents.least && value <= exponents.most,
    'the exponent of an RSA key is odd and from 65537 to 2^31 - 1',
  );
}

/** RFC 7093 2, method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
export const keyIdentifierOf = (bits: Buffer): Buffer => Buffer.from(hash('sha256', bits, 'hex').slice(0, 40), 'hex');
