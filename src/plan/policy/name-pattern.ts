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
 * The patterns by which an authority grants names, one kind of name after the other. A parser returns undefined for a
 * text that is not a pattern; such a text grants nothing. A matcher compares the normal form of a name, and a name
 * without a normal form matches nothing. A `*` stands for plain characters only: it is for the many similar names that
 * an administrator has in mind. Unusual names must be spelled out.
 */

/** The labels in lower case. `*` stands for any single label. */
export type DnsPattern = readonly string[];

export function parseDnsPattern(text: string): DnsPattern | undefined {
  // As in dnsLabels: reject non-ASCII characters before changing case.
  if (!/^[\x21-\x7e]+$/.test(text)) return undefined;
  const labels = text.toLowerCase().replace(/\.$/, '').split('.');
  // A pattern of wildcards alone would grant every name with that number of labels.
  const saysSomething = labels.some((label) => label !== '*');
  return saysSomething && labels.every((label) => label === '*' || isDnsLabel(label)) ? labels : undefined;
}

/** A wildcard in a requested name counts as a label, so only a `*` at the same place of the pattern matches it. */
export function dnsMatcher(name: string): (pattern: DnsPattern) => boolean {
  const labels = dnsLabels(name);
  return (pattern) =>
    labels?.length === pattern.length && pattern.every((label, i) => label === '*' || label === labels[i]);
}

/** The octets of the network address, 4 or 16, and the length of the prefix in bits. */
export interface IpRange {
  readonly network: Buffer;
  readonly prefixLength: number;
}

/**
 * Parses a range in CIDR notation. A range with bits set after its prefix is rejected, because its author probably
 * meant a smaller one.
 */
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

const mask = (prefixLength: number, index: number): number =>
  (0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * index))) & 0xff;

/** Undefined for an IPv4-mapped IPv6 address: some verifiers treat it as IPv4, others as IPv6. */
function ipOctets(address: string): Buffer | undefined {
  if (normaliseIpAddress(address) === undefined) return undefined;
  const octets = encodeIpAddress(address);
  return octets.subarray(0, -4).equals(mappedPrefix) ? undefined : octets;
}
/** The prefix ::ffff:0:0/96 (RFC 4291 2.5.5.2). */
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/**
 * One URI, or an origin with path segments. In a segment list, `*` stands for any single segment. `more` is set for a
 * final `**`.
 */
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

/** @param spelledOut how many segments at the start of the path a pattern must spell out, without `*` */
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
 * Splits a URI into scheme with authority, and path segments. Undefined for a URI that parsers may split differently.
 * Accepted are a host with or without a port, segments of unreserved characters (RFC 3986 2.3) that are neither empty
 * nor dots, and nothing after the path.
 */
function splitUri(uri: string, wildcard?: '*'): { origin: string; segments: readonly string[] } | undefined {
  const [, origin, path = ''] = /^([a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+(?::\d+)?)((?:\/[^/]+)*)$/i.exec(uri) ?? [];
  const segments = path.split('/').slice(1);
  const isPlain = (segment: string) => /^[A-Za-z0-9._~-]+$/.test(segment) && segment !== '.' && segment !== '..';
  const arePlain = segments.every((segment) => segment === wildcard || isPlain(segment));
  return origin !== undefined && arePlain ? { origin, segments } : undefined;
}

/** A mailbox, or `*` for every mailbox, and the domain in lower case. */
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

/** A dot-atom (RFC 5322 3.2.3) without `*`, and without the characters that once were source routes (RFC 5321 F.2). */
const isPlainMailbox = (mailbox: string): boolean => /^[\w#$&'+/=?^`{|}~-]+(\.[\w#$&'+/=?^`{|}~-]+)*$/.test(mailbox);

/** The pattern as written, and its form for common names that are DNS names. */
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

/** A type of otherName, with patterns for its values: every plain mailbox of a domain, or a text. */
export interface OtherNamePattern {
  readonly oid: string;
  readonly values: ReadonlyArray<{ readonly domain: string } | { readonly text: string }>;
}

/** Drops values that are not patterns. Undefined when the type is not an object identifier. */
export function parseOtherNamePattern({ oid, utf8Values }: OtherNameTexts): OtherNamePattern | undefined {
  if (oid === undefined || !isObjectIdentifier(oid)) return undefined;
  return { oid, values: (utf8Values ?? []).map(parseOtherValue).filter((value) => value !== undefined) };
}

/** Every field may be missing in an authority that is older than its schema. */
interface OtherNameTexts {
  readonly oid?: string;
  readonly utf8Values?: readonly string[];
}

function parseOtherValue(text: string): OtherNamePattern['values'][number] | undefined {
  if (!isPlainText(text, maxOtherValueLength)) return undefined;
  // As for mailboxes: in a name with an @, a `*` in the middle would grant more than its author can foresee.
  if (!text.includes('@') || !text.includes('*')) return { text };
  const domain = text.startsWith('*@') ? text.slice(2) : '';
  const labels = dnsLabels(domain);
  return labels === undefined || labels[0] === '*' || domain.endsWith('.') ? undefined : { domain };
}

/** The longest value of an otherName, in characters. */
export const maxOtherValueLength = 1024;

/**
 * Only the programs that use a type of otherName know how to compare its values, so values are compared as written, including
 * the case of a domain. This grants nothing more to programs that ignore case, as for user principal names.
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
