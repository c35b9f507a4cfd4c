import { isIP } from 'node:net';

/**
 * Names in the normal form in which they are compared, authorised and signed. Each function returns undefined for a
 * text that is not such a name. It repairs only what its comment says.
 */

/** True for a label of a DNS name in lower case, without wildcards. */
export const isDnsLabel = (text: string): boolean => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);

/** The labels of a DNS name (RFC 1123) in lower case, without the trailing dot. The first label may be a wildcard. */
export function dnsLabels(name: string): readonly string[] | undefined {
  // Reject other characters before changing case: some non-ASCII characters fold into ASCII letters.
  if (!/^[\x21-\x7e]+$/.test(name)) return undefined;
  const normal = name.toLowerCase().replace(/\.$/, '');
  const labels = normal.split('.');
  const concrete = labels[0] === '*' ? labels.slice(1) : labels;
  if (normal.length > 253 || concrete.length === 0 || !concrete.every(isDnsLabel)) return undefined;
  return isNumber(concrete.at(-1) ?? '') ? undefined : labels;
}

/**
 * True for a label that inet_aton(3) reads as a number: decimal, octal or hexadecimal. If the last label of a host is a
 * number, some parsers read an IPv4 address of one to four parts (WHATWG URL 3.5, "ends in a number"), others a name.
 */
const isNumber = (label: string): boolean => /^(\d+|0x[\da-f]*)$/i.test(label);

export function normaliseIpAddress(address: string): string | undefined {
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      return address.includes('%') ? undefined : new URL(`http://[${address}]/`).hostname.slice(1, -1);
    default:
      return undefined;
  }
}

/**
 * A URI with its scheme and host in lower case. In a SPIFFE ID, the trust domain is in lower case. The rest is compared
 * as written.
 */
export function normaliseUri(uri: string): string | undefined {
  // RFC 3986 section 2. A percent sign must begin a percent-encoded octet.
  const parts = /^([a-z][a-z0-9+.-]*):((?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[0-9a-f]{2})+)$/i.exec(uri);
  const [scheme, rest] = [parts?.[1]?.toLowerCase() ?? '', parts?.[2] ?? ''];
  if (parts === null || !hasHost(scheme, rest)) return undefined;
  // RFC 3986 6.2.2.1. An authority that holds more than a host and a port keeps its case.
  if (scheme !== 'spiffe') {
    return `${scheme}:${rest.replace(/^\/\/[A-Za-z0-9._:[\]-]+(?=[/?#]|$)/, (text) => text.toLowerCase())}`;
  }
  const id = parseSpiffeId(`spiffe:${rest}`);
  return id === undefined ? undefined : `spiffe://${id.trustDomain}${id.path}`;
}

/**
 * False for a URI whose authority (RFC 3986 3.2) has a host or port that some parsers reject. Go cannot parse a
 * certificate that has a URI like https://a..b or https://a:b. A host that ends in a number must be an IPv4 address in
 * four parts. A trust domain is not a host.
 */
function hasHost(scheme: string, rest: string): boolean {
  const authority = /^\/\/([^/?#]*)/.exec(rest)?.[1];
  if (authority === undefined) return true;
  const parts = /^(?:[^@]*@)?(?:\[([^\]]*)\]|([^:@[\]]*))(?::(\d*))?$/.exec(authority);
  if (parts === null || Number(parts[3] ?? 0) > 65_535) return false;
  const [, address, host = ''] = parts;
  if (address !== undefined) return host === '' && isIP(address) === 6;
  if (host === '') return true;
  const labels = host.split('.');
  return !labels.includes('') && (scheme === 'spiffe' || !isNumber(labels.at(-1) ?? '') || isIP(host) === 4);
}

/**
 * Parses a SPIFFE ID (SPIFFE-ID 2): no user, port, query or fragment, no empty or dot segments, no percent-encoding.
 */
export function parseSpiffeId(uri: string): { trustDomain: string; path: string } | undefined {
  const parts = /^spiffe:\/\/([a-zA-Z0-9._-]{1,255})((?:\/[a-zA-Z0-9._-]+)*)$/.exec(uri);
  if (parts === null || uri.length > 2048) return undefined;
  const [trustDomain, path] = [parts[1]?.toLowerCase() ?? '', parts[2] ?? ''];
  return path.split('/').some((segment) => segment === '.' || segment === '..') ? undefined : { trustDomain, path };
}

/**
 * A mailbox (RFC 5321, no quotes) with its domain in lower case. Only its mail host can interpret the local part, so
 * that is compared as written.
 */
export function normaliseEmailAddress(address: string): string | undefined {
  const [local = '', domain = '', ...more] = address.split('@');
  const isDotAtom = /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/.test(local);
  const labels = dnsLabels(domain);
  if (!isDotAtom || labels === undefined || labels[0] === '*' || more.length > 0) return undefined;
  return `${local}@${labels.join('.')}`;
}

/** True for text of 1 to `maxLength` characters, without control characters and without spaces at its ends. */
export const isPlainText = (text: string, maxLength: number): boolean =>
  // An unpaired surrogate would be signed as U+FFFD.
  text.isWellFormed() && /^[^\s\p{Cc}]([^\p{Cc}]*[^\s\p{Cc}])?$/u.test(text) && Array.from(text).length <= maxLength;

/**
 * The normal form of a common name. A DNS name is normalised like an alternative name; any other text stays unchanged.
 */
export const normaliseCommonName = (commonName: string): string => dnsLabels(commonName)?.join('.') ?? commonName;
