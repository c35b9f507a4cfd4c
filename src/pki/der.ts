import asn1 from 'node-forge/lib/asn1.js';
import { PkiError } from './error.ts';

/** A node of an ASN.1 tree that is yet to be encoded. */
export type Asn1 = ReturnType<typeof asn1.create>;

const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { Type } = asn1;

const primitive = (type: number, content: Uint8Array): Asn1 =>
  asn1.create(UNIVERSAL, type, false, Buffer.from(content).toString('latin1'));

export const sequence = (...items: Asn1[]): Asn1 => asn1.create(UNIVERSAL, Type.SEQUENCE, true, items);
export const oid = (dotted: string): Asn1 => asn1.create(UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
export const nullValue = (): Asn1 => primitive(Type.NULL, new Uint8Array());
export const boolean = (value: boolean): Asn1 => primitive(Type.BOOLEAN, Uint8Array.of(value ? 0xff : 0));
export const octetString = (content: Uint8Array): Asn1 => primitive(Type.OCTETSTRING, content);
export const utf8String = (text: string): Asn1 => primitive(Type.UTF8, Buffer.from(text, 'utf8'));
export const printableString = (text: string): Asn1 => primitive(Type.PRINTABLESTRING, Buffer.from(text, 'latin1'));
/** forge writes its two octets for each UTF-16 code unit. */
export const bmpString = (text: string): Asn1 => asn1.create(UNIVERSAL, Type.BMPSTRING, false, text);

/** A SET OF: its elements are in the order of their encodings, whatever order they come in (X.690 11.6). */
export const setOf = (...items: Asn1[]): Asn1 =>
  asn1.create(UNIVERSAL, Type.SET, true, items.length < 2 ? items : inOrder(items));

const inOrder = (items: Asn1[]): Asn1[] =>
  items
    .map(encode)
    .sort((a, b) => a.compare(b))
    .map(encoded);

/** A non-negative INTEGER from its big-endian magnitude; leading zeros are made minimal (X.690 8.3.2). */
export function integer(magnitude: Uint8Array): Asn1 {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const minimal = magnitude.subarray(start);
  const negative = (minimal[0] ?? 0) >= 0x80;
  return primitive(Type.INTEGER, negative ? Buffer.concat([Uint8Array.of(0), minimal]) : minimal);
}

/** The same of a number below 2^32: a version, a count. */
export function wholeNumber(value: number): Asn1 {
  const magnitude = Buffer.alloc(4);
  magnitude.writeUInt32BE(value);
  return integer(magnitude);
}

/** A BIT STRING; `unusedBits` counts the bits of the last octet that are padding. */
export const bitString = (content: Uint8Array, unusedBits = 0): Asn1 =>
  primitive(Type.BITSTRING, Buffer.concat([Uint8Array.of(unusedBits), content]));

/** A named-bit-list BIT STRING (KeyUsage): bit 0 is the most significant one, trailing zeros are cut (X.690 11.2.2). */
export function namedBits(bits: readonly number[]): Asn1 {
  const highest = Math.max(...bits);
  const octets = new Uint8Array((highest >> 3) + 1);
  for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(octets, 7 - (highest & 7));
}

/** Time as RFC 5280 4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime after; whole seconds, Zulu. */
export function time(date: Date): Asn1 {
  const digits = date.toISOString().replaceAll(/[-:T]|\..*/g, '');
  return date.getUTCFullYear() < 2050
    ? primitive(Type.UTCTIME, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : primitive(Type.GENERALIZEDTIME, Buffer.from(`${digits}Z`, 'latin1'));
}

/** `[tag] EXPLICIT` around one element. */
export const explicit = (tag: number, item: Asn1): Asn1 => asn1.create(CONTEXT_SPECIFIC, tag, true, [item]);
/** `[tag] IMPLICIT` for a primitive type. */
export const implicit = (tag: number, content: Uint8Array): Asn1 => verbatim(0x80 | tag, content);
/** `[tag] IMPLICIT` for a constructed type. */
export const implicitConstructed = (tag: number, items: Asn1[]): Asn1 =>
  asn1.create(CONTEXT_SPECIFIC, tag, true, items);

/**
 * An element that is encoded already, taken over byte for byte: an issuer's name has to equal the CA's subject in
 * every octet.
 */
export function encoded(der: Buffer): Asn1 {
  const { tag, content } = readElement(der).element;
  return verbatim(tag, content);
}

/**
 * The whole identifier octet travels as the class: by its type number forge would take a constructed element apart, and
 * anything numbered 2, a dNSName too, for an INTEGER whose leading zeros it may drop.
 */
const verbatim = (tag: number, content: Uint8Array): Asn1 =>
  asn1.create(tag, Type.NONE, false, Buffer.from(content).toString('latin1'));

/** The DER octets of a tree. */
export const encode = (node: Asn1): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'latin1');

/** A DER element as it lies in its buffer: the identifier octet, the whole encoding, and the contents octets. */
export interface Element {
  readonly tag: number;
  readonly der: Buffer;
  readonly content: Buffer;
}

/** Identifier octets of the types that are read here. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/**
 * Reads the first element of untrusted DER. Only what certificates use: one-octet tags, definite minimal lengths.
 * It does not descend, so nesting costs nothing.
 * @throws PkiError MalformedDer
 */
export function readElement(input: Buffer): { element: Element; rest: Buffer } {
  const tag = input[0];
  const first = input[1];
  if (tag === undefined || first === undefined) throw new PkiError('MalformedDer', 'truncated element');
  if ((tag & 0x1f) === 0x1f) throw new PkiError('MalformedDer', 'multi-octet tag');
  let length = first;
  let header = 2;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0 || octets > 4) throw new PkiError('MalformedDer', 'indefinite or oversized length');
    if (input.length < 2 + octets) throw new PkiError('MalformedDer', 'truncated length');
    length = input.readUIntBE(2, octets);
    header += octets;
    if (length < 0x80 || input[2] === 0) throw new PkiError('MalformedDer', 'length is not minimal');
  }
  const end = header + length;
  if (input.length < end) throw new PkiError('MalformedDer', 'truncated contents');
  return {
    element: { tag, der: input.subarray(0, end), content: input.subarray(header, end) },
    rest: input.subarray(end),
  };
}

/**
 * The elements that follow each other in a buffer, which they must fill.
 * @throws PkiError MalformedDer
 */
export function readAll(content: Buffer): Element[] {
  const elements: Element[] = [];
  let remaining = content;
  while (remaining.length > 0) {
    const { element, rest } = readElement(remaining);
    elements.push(element);
    remaining = rest;
  }
  return elements;
}

/**
 * The one element that fills a buffer, with the tag that is expected.
 * @throws PkiError MalformedDer
 */
export function readOnly(der: Buffer, tag: number): Element {
  const { element, rest } = readElement(der);
  return expectTag(rest.length === 0 ? element : undefined, tag);
}

/**
 * The element itself, when it is there and has the tag.
 * @throws PkiError MalformedDer
 */
export function expectTag(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new PkiError('MalformedDer', `expected tag 0x${tag.toString(16)}`);
  return element;
}

/**
 * Dotted form of an OBJECT IDENTIFIER's contents. Arcs above 2^31 are refused, nothing in X.509 has one, and so is a
 * second spelling of an arc (X.690 8.19.2).
 * @throws PkiError MalformedDer
 */
export function readOid(element: Element | undefined): string {
  const { content } = expectTag(element, tags.oid);
  const arcs: number[] = [];
  let arc = 0;
  for (const [index, octet] of content.entries()) {
    if (arc >= 2 ** 24) throw new PkiError('MalformedDer', 'oversized object identifier');
    if (arc === 0 && octet === 0x80) throw new PkiError('MalformedDer', 'an arc is not minimal');
    arc = arc * 128 + (octet & 0x7f);
    if (octet < 0x80) {
      arcs.push(arc);
      arc = 0;
    } else if (index === content.length - 1) throw new PkiError('MalformedDer', 'truncated object identifier');
  }
  const [head, ...tail] = arcs;
  if (head === undefined) throw new PkiError('MalformedDer', 'empty object identifier');
  const top = Math.min(2, Math.floor(head / 40));
  return [top, head - top * 40, ...tail].join('.');
}
