import { type Element, expectTag, readAll, readOid, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';

/** An extension of a certificate or CRL. */
export interface Extension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/**
 * Reads a list of extensions.
 * @param malformed the error code for the object that contains them
 * @throws PkiError with that code when an extension appears twice; MalformedDer
 */
export function readExtensions(list: Buffer, malformed: 'MalformedCertificate' | 'MalformedCrl'): Extension[] {
  const seen = new Set<string>();
  return readAll(list).map((item) => {
    const parts = expectTag(item, tags.sequence).children();
    const id = readOid(parts[0]);
    // RFC 5280 4.2 allows one instance of an extension. Verifiers disagree about which of two counts.
    if (seen.has(id)) throw new PkiError(malformed, `extension ${id} appears twice`);
    seen.add(id);
    const critical = parts[1]?.tag === tags.boolean && parts[1].content[0] !== 0;
    return { id, critical, value: expectTag(parts.at(-1), tags.octetString).content };
  });
}

/** The key and the serial number in an AuthorityKeyIdentifier extension. */
export interface AuthorityKeyIdentifier {
  /** Lower-case hex. */
  readonly authorityKeyId?: string;
  readonly authoritySerialNumber?: string;
}

/** Reads an authority key identifier (RFC 5280 4.2.1.1). @throws PkiError MalformedDer */
export function readAuthorityKeyIdentifier(value: Buffer): AuthorityKeyIdentifier {
  const parts = readOnly(value, tags.sequence).children();
  const [keyId, serial] = [0x80, 0x82].map((expected) => parts.find(({ tag }) => tag === expected));
  return {
    ...(keyId === undefined ? {} : { authorityKeyId: keyId.content.toString('hex') }),
    ...(serial === undefined ? {} : { authoritySerialNumber: serialText(serial) }),
  };
}

/** A serial number in the form of Certificate.serialNumber. */
export const serialText = ({ content }: Element): string => content.toString('hex').replace(/^(00)+(?=..)/, '');

/** Whole seconds, in UTC. */
const forms: Readonly<Record<number, RegExp>> = {
  [tags.utcTime]: /^\d{12}Z$/,
  [tags.generalizedTime]: /^\d{14}Z$/,
};

/** Reads a UTCTime or a GeneralizedTime (RFC 5280 4.1.2.5). @throws PkiError MalformedDer */
export function readTime(element: Element): Date {
  const text = element.content.toString('latin1');
  const isForm = forms[element.tag]?.test(text) === true;
  if (!isForm) throw new PkiError('MalformedDer', 'a time is not in the form of RFC 5280');
  // UTCTime spans 1950 to 2049 (RFC 5280 4.1.2.5.1).
  const digits = element.tag === tags.generalizedTime ? text : `${text >= '5' ? '19' : '20'}${text}`;
  const day = digits.slice(6, 8);
  const clock = `${digits.slice(8, 10)}:${digits.slice(10, 12)}:${digits.slice(12)}`;
  const date = new Date(`${digits.slice(0, 4)}-${digits.slice(4, 6)}-${day}T${clock}`);
  // JavaScript turns 30 February into a day in March, and 24:00 into the next day. The day of an invalid date is NaN.
  if (date.getUTCDate() !== Number(day))
    throw new PkiError('MalformedDer', 'a time has a date that does not exist, such as 30 February');
  return date;
}
