import { hash, type KeyObject, sign } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import {
  type Asn1,
  bitString,
  boolean,
  type Element,
  encode,
  encoded,
  expectTag,
  nullValue,
  octetString,
  oid,
  readAll,
  readOid,
  readOnly,
  sequence,
  tags,
} from './der.ts';
import { PkiError } from './error.ts';
import { publicKeyDer, signatureAlgorithm } from './key.ts';

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

/** The issuer's own identifier, whatever method made it; a root without one gets what its key would have. */
export const issuerKeyIdentifier = (ca: Certificate): Buffer =>
  ca.subjectKeyId === undefined ? keyIdentifier(ca.publicKey) : Buffer.from(ca.subjectKeyId, 'hex');

/** The moment without its fraction of a second, which no field has room for. */
export const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);

/** An extension as it was read. */
export interface Extension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/**
 * The extensions in the contents of a list of them.
 * @param malformed the code of what they stand in
 * @throws PkiError of that code when one is there twice; MalformedDer
 */
export function readExtensions(list: Buffer, malformed: 'MalformedCertificate' | 'MalformedCrl'): Extension[] {
  const seen = new Set<string>();
  return readAll(list).map((item) => {
    const parts = expectTag(item, tags.sequence).children();
    const id = readOid(parts[0]);
    // RFC 5280 4.2: no more than one instance of an extension. Which of two would count is anyone's guess.
    if (seen.has(id)) throw new PkiError(malformed, `extension ${id} appears twice`);
    seen.add(id);
    const critical = parts[1]?.tag === tags.boolean && parts[1].content[0] !== 0;
    return { id, critical, value: expectTag(parts.at(-1), tags.octetString).content };
  });
}

/** The parts of an authority key identifier that are compared (RFC 5280 4.2.1.1). @throws PkiError MalformedDer */
export function readAuthorityKeyIdentifier(
  value: Buffer,
): Pick<Certificate, 'authorityKeyId' | 'authoritySerialNumber'> {
  const parts = readOnly(value, tags.sequence).children();
  const [keyId, serial] = [0x80, 0x82].map((wanted) => parts.find(({ tag }) => tag === wanted));
  return {
    ...(keyId === undefined ? {} : { authorityKeyId: keyId.content.toString('hex') }),
    ...(serial === undefined ? {} : { authoritySerialNumber: serialText(serial) }),
  };
}

/** A serial number in the form that it has everywhere, see Certificate. */
export const serialText = ({ content }: Element): string => content.toString('hex').replace(/^(00)+(?=..)/, '');

/** Whole seconds, in UTC. */
const forms: Readonly<Record<number, RegExp>> = {
  [tags.utcTime]: /^\d{12}Z$/,
  [tags.generalizedTime]: /^\d{14}Z$/,
};

/** The moment in an element of either type (RFC 5280 4.1.2.5). @throws PkiError MalformedDer */
export function readTime(element: Element): Date {
  const text = element.content.toString('latin1');
  const isForm = forms[element.tag]?.test(text) === true;
  if (!isForm) throw new PkiError('MalformedDer', 'a time is not in the form of RFC 5280');
  // UTCTime spans 1950 to 2049 (RFC 5280 4.1.2.5.1).
  const digits = element.tag === tags.generalizedTime ? text : `${text >= '5' ? '19' : '20'}${text}`;
  const day = digits.slice(6, 8);
  const clock = `${digits.slice(8, 10)}:${digits.slice(10, 12)}:${digits.slice(12)}`;
  const date = new Date(`${digits.slice(0, 4)}-${digits.slice(4, 6)}-${day}T${clock}`);
  // JavaScript counts on from the 30th of February, and from 24 o'clock. Of no date, the day is NaN.
  if (date.getUTCDate() !== Number(day)) throw new PkiError('MalformedDer', 'a time is not a date');
  return date;
}
