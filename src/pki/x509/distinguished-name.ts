import { isIP } from 'node:net';
import {
  type Asn1,
  encode,
  explicit,
  implicit,
  implicitConstructed,
  oid,
  printableString,
  sequence,
  setOf,
  utf8String,
} from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { PkiError } from '../pki-error.ts';

/** The attributes of a distinguished name. `serialNumber` is the X.520 attribute, not the certificate's serial number. */
export interface Subject {
  readonly commonName?: string;
  readonly organizations?: readonly string[];
  readonly organizationalUnits?: readonly string[];
  readonly countries?: readonly string[];
  readonly provinces?: readonly string[];
  readonly localities?: readonly string[];
  readonly streetAddresses?: readonly string[];
  readonly postalCodes?: readonly string[];
  readonly serialNumber?: string;
}

/** The subject alternative names of a leaf (RFC 5280 4.2.1.6), normalised. */
export interface SubjectAltNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly otherNames: readonly OtherName[];
}

/** An otherName whose value is a UTF8String, for example a user principal name. */
export interface OtherName {
  readonly oid: string;
  readonly utf8Value: string;
}

/** DER of a distinguished name. X.520 requires PrintableString for country and serialNumber; the others are UTF8String. */
export function encodeSubject(subject: Subject): Buffer {
  const attribute = (type: string, value: string, string: (text: string) => Asn1 = utf8String) =>
    setOf(sequence(oid(type), string(value)));
  const all = (type: string, values: readonly string[] | undefined, string?: (text: string) => Asn1) =>
    (values ?? []).map((value) => attribute(type, value, string));
  return encode(
    sequence(
      ...all(oids.country, subject.countries, printableString),
      ...all(oids.province, subject.provinces),
      ...all(oids.locality, subject.localities),
      ...all(oids.streetAddress, subject.streetAddresses),
      ...all(oids.postalCode, subject.postalCodes),
      ...all(oids.organization, subject.organizations),
      ...all(oids.organizationalUnit, subject.organizationalUnits),
      ...all(oids.commonName, subject.commonName === undefined ? [] : [subject.commonName]),
      ...all(oids.serialNumber, subject.serialNumber === undefined ? [] : [subject.serialNumber], printableString),
    ),
  );
}

/** Tags of GeneralName (RFC 5280 4.2.1.6). */
export const generalNameTags = { otherName: 0, email: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const;

/**
 * DER of the SubjectAltName extension's value.
 * @throws PkiError InvalidName for a name that is not printable ASCII, an invalid IP address or an invalid object identifier
 */
export function encodeSubjectAltNames(names: SubjectAltNames): Buffer {
  const { otherName, email, dns, uri, ip } = generalNameTags;
  return encode(
    sequence(
      ...names.dnsNames.map((name) => implicit(dns, ascii(name))),
      ...names.ipAddresses.map((address) => implicit(ip, encodeIpAddress(address))),
      ...names.uris.map((name) => implicit(uri, ascii(name))),
      ...names.emailAddresses.map((name) => implicit(email, ascii(name))),
      ...names.otherNames.map((name) =>
        implicitConstructed(otherName, [objectIdentifier(name.oid), explicit(0, utf8String(name.utf8Value))]),
      ),
    ),
  );
}

/** True for a dotted object identifier whose arcs have no leading zeros and are below 10^9, so that they fit into 31 bits. */
export const isObjectIdentifier = (dotted: string): boolean =>
  /^([01]\.[1-3]?\d|2\.(0|[1-9]\d{0,8}))(\.(0|[1-9]\d{0,8}))*$/.test(dotted);

function objectIdentifier(dotted: string): Asn1 {
  if (isObjectIdentifier(dotted)) return oid(dotted);
  throw new PkiError('InvalidName', `${JSON.stringify(dotted)} is not an object identifier`);
}

function ascii(name: string): Buffer {
  if (!/^[\x21-\x7e]+$/.test(name)) throw new PkiError('InvalidName', 'a name has characters outside printable ASCII');
  return Buffer.from(name, 'latin1');
}

/**
 * The 4 or 16 octets of an address in text form.
 * @throws PkiError InvalidName
 */
export function encodeIpAddress(address: string): Buffer {
  switch (isIP(address)) {
    case 4:
      return Buffer.from(address.split('.').map(Number));
    case 6:
      return encodeIpv6Address(address);
    default:
      throw new PkiError('InvalidName', `${JSON.stringify(address)} is not an IP address`);
  }
}

function encodeIpv6Address(address: string): Buffer {
  if (address.includes('%')) throw new PkiError('InvalidName', 'an IPv6 address in a certificate cannot have a zone');
  // The URL parser returns the canonical form (RFC 5952 without dotted quads). Only `::` is left to expand.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return Buffer.from([...left, ...zeros, ...right].flatMap((group) => [group >> 8, group & 0xff]));
}
