import { encodeIpAddress, isObjectIdentifier, type OtherName } from '../../pki/index.ts';
import {
  dnsLabels,
  isDnsLabel,
  isPlainText,
  normaliseCommonName,
  normaliseEmailAddress,
  normaliseIpAddress,
  normaliseUri,
} from './name-normalisation.ts';
import { matchesWildcard, mayMatchSystemName } from './wildcard.ts';

/**
 * The patterns that an authority grants names by, one kind of name after the other. Parsing gives undefined for what is
 * no pattern, which then grants nothing. A matcher tells of a name which patterns match its normal form; what has none is
 * matched by nothing. Where a pattern has `*`, the name has plain characters: `*` is for the many names that an
 * administrator has in mind, and odd ones are granted by being spelled out or not at all.
 */

/** The labels in lower case; `*` stands for any one label. */
export type DnsPattern = readonly string[];

export function parseDnsPattern(text: string): DnsPattern | undefined {
  // As in dnsLabels: ASCII only before any change of case.
  if (!/^[\x21-\x7e]+$/.test(text)) return undefined;
  const labels = text.toLowerCase().replace(/\.$/, '').split('.');
  // Nobody means all the names there are of a length.
  const saysSomething = labels.some((label) => label !== '*');
  return saysSomething && labels.every((label) => label === '*' || isDnsLabel(label)) ? labels : undefined;
}

/** A wildcard in a name is a label like others, so that only a `*` at the same place stands for it. */
export function dnsMatcher(name: string): (pattern: DnsPattern) => boolean {
  const labels = dnsLabels(name);
  return (pattern) =>
    labels?.length === pattern.length && pattern.every((label, i) => label === '*' || label === labels[i]);
}

/** The first octets of an address, 4 or 16, and how many of their bits count. */
export interface IpRange {
  readonly network: Buffer;
  readonly prefixLength: number;
}

/** A range in CIDR notation. One with bits set behind its prefix is more than its writer thinks, and none. */
export function parseIpRange(text: string): IpRange | undefined {
  const [, address = '', prefix = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const network = ipOctets(address);
  const prefixLength = Number(prefix);
  if (network === undefined || prefixLength > network.length * 8) return undefined;
  return network.every((octet, i) => (octet & ~mask(prefixLength, i)) === 0) ? { network, prefixLength } : undefined;
}

export function ipMatcher(address: string): (range: IpRange) => boolean {
  const octets = ipOctets(address);
  return ({ network, prefixLength }) =>
    octets?.length === network.length && octets.every((octet, i) => (octet & mask(prefixLength, i)) === network[i]);
}

/** The bits of the octet at this index that belong to the prefix. */
const mask = (prefixLength: number, index: number): number =>
  (0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * index))) & 0xff;

/** An IPv4 address in the clothes of IPv6 is the one to some verifiers and the other to others, and none here. */
function ipOctets(address: string): Buffer | undefined {
  if (normaliseIpAddress(address) === undefined) return undefined;
  const octets = encodeIpAddress(address);
  return octets.subarray(0, -4).equals(mappedPrefix) ? undefined : octets;
}
/** Of ::ffff:0:0/96 (RFC 4291 2.5.5.2). */
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/** One URI, or scheme, authority and the segments of the path, where `*` stands for any one; `more` for a final `**`. */
export type UriPattern =
  | { readonly literal: string }
  | { readonly origin: string; readonly segments: readonly string[]; readonly more: boolean };

export function parseUriPattern(text: string): UriPattern | undefined {
  if (!text.includes('*')) {
    const literal = normaliseUri(text);
    return literal === undefined ? undefined : { literal };
  }
  const more = text.endsWith('/**');
  const parts = splitUri(more ? text.slice(0, -'/**'.length) : text, '*');
  if (parts === undefined) return undefined;
  const { origin, segments } = parts;
  return { origin: origin.toLowerCase(), segments, more };
}

/** `spelledOut` is how many segments at the beginning of the path no `*` may stand for. */
export function uriMatcher(uri: string, spelledOut = 0): (pattern: UriPattern) => boolean {
  const normal = normaliseUri(uri);
  const parts = splitUri(normal ?? '');
  return (pattern) => {
    if ('literal' in pattern) return pattern.literal === normal;
    if (parts === undefined || parts.origin !== pattern.origin) return false;
    const [actual, wanted] = [parts.segments, pattern.segments];
    const fits = pattern.more ? actual.length > wanted.length : actual.length === wanted.length;
    const starts = wanted.length >= spelledOut && !wanted.slice(0, spelledOut).includes('*');
    return fits && starts && wanted.every((segment, i) => segment === '*' || segment === actual[i]);
  };
}

/**
 * Scheme with authority, and the segments of the path, of a URI that every parser splits alike: a host with or without a
 * port, segments of unreserved characters (RFC 3986 2.3) that are neither empty nor dots, and nothing behind the path.
 */
function splitUri(uri: string, wildcard?: '*'): { origin: string; segments: readonly string[] } | undefined {
  const [, origin, path = ''] = /^([a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+(?::\d+)?)((?:\/[^/]+)*)$/i.exec(uri) ?? [];
  const segments = path.split('/').slice(1);
  const isPlain = (segment: string) => /^[A-Za-z0-9._~-]+$/.test(segment) && segment !== '.' && segment !== '..';
  const arePlain = segments.every((segment) => segment === wildcard || isPlain(segment));
  return origin !== undefined && arePlain ? { origin, segments } : undefined;
}

/** A mailbox, `*` for all of them, and the domain in lower case. */
export interface EmailPattern {
  readonly mailbox: string;
  readonly domain: string;
}

export function parseEmailPattern(text: string): EmailPattern | undefined {
  const [mailbox = '', domain] = normaliseEmailAddress(text)?.split('@') ?? [];
  return domain === undefined || (mailbox.includes('*') && mailbox !== '*') ? undefined : { mailbox, domain };
}

export function emailMatcher(address: string): (pattern: EmailPattern) => boolean {
  const [mailbox = '', domain] = normaliseEmailAddress(address)?.split('@') ?? [];
  const isPlain = isPlainMailbox(mailbox);
  return (pattern) => domain === pattern.domain && (pattern.mailbox === '*' ? isPlain : pattern.mailbox === mailbox);
}

/** A dot-atom (RFC 5322 3.2.3) without `*`, and without the characters that once routed mail on (RFC 5321 F.2). */
const isPlainMailbox = (mailbox: string): boolean => /^[\w#$&'+/=?^`{|}~-]+(\.[\w#$&'+/=?^`{|}~-]+)*$/.test(mailbox);

/** The text as it was written, and as it is of names that are DNS names, which have a form of their own. */
export interface CommonNamePattern {
  readonly text: string;
  readonly dnsText: string;
}

export function parseCommonNamePattern(text: string): CommonNamePattern | undefined {
  if (!/^[^\s\p{Cc}]([^\p{Cc}]*[^\s\p{Cc}])?$/u.test(text)) return undefined;
  return { text, dnsText: text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\.$/, '') };
}

export function commonNameMatcher(commonName: string): (pattern: CommonNamePattern) => boolean {
  const name = normaliseCommonName(commonName);
  const isDnsName = dnsLabels(name) !== undefined;
  return ({ text, dnsText }) =>
    mayMatchSystemName(text, name) && (matchesWildcard(text, name) || (isDnsName && matchesWildcard(dnsText, name)));
}

/** A type of names, and which of them: all plain mailboxes of a domain, or a text. */
export interface OtherNamePattern {
  readonly oid: string;
  readonly values: ReadonlyArray<{ readonly domain: string } | { readonly text: string }>;
}

/** A value that is no pattern is left out; a type that is none leaves nothing. */
export function parseOtherNamePattern({ oid, utf8Values }: OtherNameTexts): OtherNamePattern | undefined {
  if (oid === undefined || !isObjectIdentifier(oid)) return undefined;
  return { oid, values: (utf8Values ?? []).map(parseOtherValue).filter((value) => value !== undefined) };
}

/** Of an authority that is older than its schema, anything may be missing. */
interface OtherNameTexts {
  readonly oid?: string;
  readonly utf8Values?: readonly string[];
}

function parseOtherValue(text: string): OtherNamePattern['values'][number] | undefined {
  if (!isPlainText(text, maxOtherValueLength)) return undefined;
  // As of a mailbox: a `*` in the middle of a name that has an @ is more than its writer can oversee.
  if (!text.includes('@') || !text.includes('*')) return { text };
  const domain = text.startsWith('*@') ? text.slice(2) : '';
  const labels = dnsLabels(domain);
  return labels === undefined || labels[0] === '*' || domain.endsWith('.') ? undefined : { domain };
}

/** The longest value of an otherName, in characters. */
export const maxOtherValueLength = 1024;

/**
 * What a name of another type means, its own programs alone know, so it is compared as it is written, the case of a domain
 * included. To programs that know no case, as those of user principal names, nothing more is granted by that.
 */
export const otherNameMatcher =
  ({ oid, utf8Value }: OtherName): ((pattern: OtherNamePattern) => boolean) =>
  (pattern) =>
    pattern.oid === oid &&
    pattern.values.some((value) =>
      'text' in value
        ? matchesWildcard(value.text, utf8Value)
        : utf8Value.endsWith(`@${value.domain}`) && isPlainMailbox(utf8Value.slice(0, -value.domain.length - 1)),
    );
