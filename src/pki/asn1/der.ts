import asn1 from 'node-forge/lib/asn1.js';
import { PkiError } from '../pki-error.ts';
import { oids } from './oid.ts';

/**
 * A node of an ASN.1 tree before encoding: its identifier octet and its contents, as octets or as nodes.
 * `length` is the number of contents octets. With it, a whole tree is written into one buffer of the right size.
 */
export interface Asn1 {
  readonly tag: number;
  readonly length: number;
  readonly content: Uint8Array | readonly Asn1[];
}

/** Identifier octets. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

const contextSpecific = 0x80;
const isConstructed = 0x20;

const primitive = (tag: number, content: Uint8Array): Asn1 => ({ tag, length: content.length, content });

function constructed(tag: number, content: readonly Asn1[]): Asn1 {
  let length = 0;
  for (const node of content) length += encodedLength(node);
  return { tag, length, content };
}

export const sequence = (...items: Asn1[]): Asn1 => constructed(tags.sequence, items);
export const nullValue = (): Asn1 => primitive(tags.null, new Uint8Array());
export const boolean = (value: boolean): Asn1 => primitive(tags.boolean, Uint8Array.of(value ? 0xff : 0));
export const octetString = (content: Uint8Array): Asn1 => primitive(tags.octetString, content);
/** An OCTET STRING that contains the encoding of a node, the form of an extension's value. */
export const octetStringOf = (item: Asn1): Asn1 => constructed(tags.octetString, [item]);
export const utf8String = (text: string): Asn1 => primitive(tags.utf8String, Buffer.from(text, 'utf8'));
export const printableString = (text: string): Asn1 => primitive(tags.printableString, Buffer.from(text, 'latin1'));
/** UTF-16, big-endian. */
export const bmpString = (text: string): Asn1 => primitive(tags.bmpString, Buffer.from(text, 'utf16le').swap16());

/** An OBJECT IDENTIFIER from its dotted form. The caller has checked the form (see isObjectIdentifier). */
export const oid = (dotted: string): Asn1 => knownOids.get(dotted) ?? encodeOid(dotted);

const encodeOid = (dotted: string): Asn1 =>
  primitive(tags.oid, Buffer.from(asn1.oidToDer(dotted).getBytes(), 'latin1'));

/** Encoded once: every certificate contains several of these. */
const knownOids: ReadonlyMap<string, Asn1> = new Map(Object.values(oids).map((dotted) => [dotted, encodeOid(dotted)]));

/** A SET OF. DER sorts the elements by their encodings (X.690 11.6). */
export const setOf = (...items: Asn1[]): Asn1 => constructed(tags.set, items.length < 2 ? items : inOrder(items));

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
  return primitive(tags.integer, negative ? Buffer.concat([Uint8Array.of(0), minimal]) : minimal);
}

/** An INTEGER from a number below 2^32, for example a version or a count. */
export function wholeNumber(value: number): Asn1 {
  const magnitude = Buffer.alloc(4);
  magnitude.writeUInt32BE(value);
  return integer(magnitude);
}

/** A BIT STRING; `unusedBits` is the number of padding bits in the last octet. */
export const bitString = (content: Uint8Array, unusedBits = 0): Asn1 =>
  primitive(tags.bitString, Buffer.concat([Uint8Array.of(unusedBits), content]));

/** A named-bit-list BIT STRING (KeyUsage): bit 0 is the most significant one, trailing zeros are cut (X.690 11.2.2). */
export function namedBits(bits: readonly number[]): Asn1 {
  const highest = Math.max(...bits);
  const octets = new Uint8Array((highest >> 3) + 1);
  for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(octets, 7 - (highest & 7));
}

/** Time in the form that RFC 5280 4.1.2.5 requires: UTCTime through 2049, GeneralizedTime after; whole seconds, Zulu. */
export function time(date: Date): Asn1 {
  const iso = date.toISOString();
  const [year, month, day] = [iso.slice(0, 4), iso.slice(5, 7), iso.slice(8, 10)];
  const digits = `${year}${month}${day}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}`;
  return date.getUTCFullYear() < 2050
    ? primitive(tags.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : primitive(tags.generalizedTime, Buffer.from(`${digits}Z`, 'latin1'));
}

/** `[tag] EXPLICIT` around one element. */
export const explicit = (tag: number, item: Asn1): Asn1 => implicitConstructed(tag, [item]);
/** `[tag] IMPLICIT` for a primitive type. */
export const implicit = (tag: number, content: Uint8Array): Asn1 => primitive(contextSpecific | tag, content);
/** `[tag] IMPLICIT` for a constructed type. */
export const implicitConstructed = (tag: number, items: Asn1[]): Asn1 =>
  constructed(contextSpecific | isConstructed | tag, items);

/**
 * An element that is already encoded. It is copied octet by octet, because an issuer name must equal the CA's subject
 * exactly.
 * @throws PkiError MalformedDer
 */
export function encoded(der: Buffer): Asn1 {
  const { tag, content } = elementAt(der, 0, der.length);
  return primitive(tag, content);
}

/** The DER octets of a tree. */
export function encode(node: Asn1): Buffer {
  const der = Buffer.allocUnsafe(encodedLength(node));
  write(node, der, 0);
  return der;
}

/** How many octets encode a length: one below 128, otherwise a count octet and the length itself (X.690 8.1.3). */
const lengthOctets = (length: number): number =>
  length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : length < 0x1000000 ? 4 : 5;

const encodedLength = ({ length }: Asn1): number => 1 + lengthOctets(length) + length;

/** Writes a node at an offset and returns the offset after it. */
function write({ tag, length, content }: Asn1, der: Buffer, start: number): number {
  der[start] = tag;
  let at = start + 1;
  const octets = lengthOctets(length);
  if (octets === 1) der[at] = length;
  else {
    der[at] = 0x80 | (octets - 1);
    der.writeUIntBE(length, at + 1, octets - 1);
  }
  at += octets;
  if (content instanceof Uint8Array) {
    der.set(content, at);
    return at + length;
  }
  for (const item of content) at = write(item, der, at);
  return at;
}

/** A DER element in its buffer. Views are created on demand, because most elements are only skipped. */
export class Element {
  /** The identifier octet. */
  readonly tag: number;
  readonly #input: Buffer;
  readonly #start: number;
  readonly #contentStart: number;
  /** The offset after the element. */
  readonly end: number;

  constructor(input: Buffer, tag: number, start: number, contentStart: number, end: number) {
    this.tag = tag;
    this.#input = input;
    this.#start = start;
    this.#contentStart = contentStart;
    this.end = end;
  }

  /** The whole encoding. */
  get der(): Buffer {
    return this.#input.subarray(this.#start, this.end);
  }

  /** The contents octets. */
  get content(): Buffer {
    return this.#input.subarray(this.#contentStart, this.end);
  }

  /**
   * The elements in the contents.
   * @throws PkiError MalformedDer
   */
  children(): Element[] {
    return elementsIn(this.#input, this.#contentStart, this.end);
  }
}

/** The element at `start`, which must end at or before `limit`. */
function elementAt(input: Buffer, start: number, limit: number): Element {
  const tag = input[start] ?? 0;
  const first = input[start + 1] ?? 0;
  if (start + 2 > limit) throw new PkiError('MalformedDer', 'truncated element');
  if ((tag & 0x1f) === 0x1f) throw new PkiError('MalformedDer', 'multi-octet tag');
  let length = first;
  let contentStart = start + 2;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0 || octets > 4) throw new PkiError('MalformedDer', 'indefinite or oversized length');
    if (limit < contentStart + octets) throw new PkiError('MalformedDer', 'truncated length');
    length = input.readUIntBE(contentStart, octets);
    if (length < 0x80 || input[contentStart] === 0) throw new PkiError('MalformedDer', 'length is not minimal');
    contentStart += octets;
  }
  const end = contentStart + length;
  if (limit < end) throw new PkiError('MalformedDer', 'truncated contents');
  return new Element(input, tag, start, contentStart, end);
}

/**
 * Reads the first element of untrusted DER. Accepts only what certificates use: one-octet tags and definite, minimal
 * lengths. It does not read nested elements, so deep nesting costs nothing.
 * @throws PkiError MalformedDer
 */
export function readElement(input: Buffer): { element: Element; rest: Buffer } {
  const element = elementAt(input, 0, input.length);
  return { element, rest: input.subarray(element.end) };
}

/**
 * All elements of a buffer. They must fill it exactly.
 * @throws PkiError MalformedDer
 */
export const readAll = (content: Buffer): Element[] => elementsIn(content, 0, content.length);

function elementsIn(input: Buffer, start: number, limit: number): Element[] {
  const elements: Element[] = [];
  for (let at = start; at < limit; ) {
    const element = elementAt(input, at, limit);
    elements.push(element);
    at = element.end;
  }
  return elements;
}

/**
 * The single element that fills a buffer. It must have the given tag.
 * @throws PkiError MalformedDer
 */
export function readOnly(der: Buffer, tag: number): Element {
  const element = elementAt(der, 0, der.length);
  return expectTag(element.end === der.length ? element : undefined, tag);
}

/**
 * Returns the element if it exists and has the given tag.
 * @throws PkiError MalformedDer
 */
export function expectTag(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new PkiError('MalformedDer', `expected tag 0x${tag.toString(16)}`);
  return element;
}

/**
 * The dotted form of an OBJECT IDENTIFIER. Refuses arcs above 2^31, which X.509 does not use, and arcs with leading
 * padding (X.690 8.19.2).
 * @throws PkiError MalformedDer
 */
export function readOid(element: Element | undefined): string {
  const { content } = expectTag(element, tags.oid);
  let dotted = '';
  let arc = 0;
  for (let index = 0; index < content.length; index += 1) {
    const octet = content[index] ?? 0;
    if (arc >= 2 ** 24) throw new PkiError('MalformedDer', 'oversized object identifier');
    if (arc === 0 && octet === 0x80)
      throw new PkiError('MalformedDer', 'an arc of an object identifier has leading padding');
    arc = arc * 128 + (octet & 0x7f);
    if (octet < 0x80) {
      dotted += dotted === '' ? firstArcs(arc) : `.${arc}`;
      arc = 0;
    } else if (index === content.length - 1) throw new PkiError('MalformedDer', 'truncated object identifier');
  }
  if (dotted === '') throw new PkiError('MalformedDer', 'empty object identifier');
  return dotted;
}

/** The first number encodes two arcs (X.690 8.19.4). */
function firstArcs(head: number): string {
  const top = Math.min(2, Math.floor(head / 40));
  return `${top}.${head - top * 40}`;
}

/** The magnitude of a positive INTEGER without its leading zero; undefined if it is not positive or not minimal (X.690 8.3.2). */
export function positiveInteger(element: Element | undefined): Buffer | undefined {
  const { content } = expectTag(element, tags.integer);
  const [first = 0x80, second = 0] = content;
  if (first !== 0) return first < 0x80 ? content : undefined;
  return content.length > 1 && second >= 0x80 ? content.subarray(1) : undefined;
}
