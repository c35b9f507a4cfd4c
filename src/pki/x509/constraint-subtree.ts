import { isUtf8 } from 'node:buffer';
import { isIP } from 'node:net';
import { type Element, expectTag, readAll, readElement, readOid, readOnly, tags } from '../asn1/der.ts';
import { PkiError } from '../pki-error.ts';
import { generalNameTags } from './distinguished-name.ts';

/** One subtree of a NameConstraints extension (RFC 5280 4.2.1.10): the tag number of its GeneralName, and the octets. */
export interface Subtree {
  readonly type: number;
  /** Absent when the subtree has a minimum or maximum. RFC 5280 forbids them, and no verifier applies them. */
  readonly base?: Buffer;
}

/** The permitted and excluded subtrees of an extension. */
export interface Subtrees {
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

/**
 * Reads the subtrees of an extension.
 * @throws PkiError MalformedDer, also for lists in the wrong order or twice, which verifiers would ignore
 */
export function readSubtrees(constraints: Buffer): Subtrees {
  const lists = readOnly(constraints, tags.sequence).children();
  const kinds = lists.map(({ tag }) => tag).join();
  const isInOrder = [`${permittedTag}`, `${excludedTag}`, `${permittedTag},${excludedTag}`].includes(kinds);
  if (!isInOrder)
    throw new PkiError('MalformedDer', 'name constraints are permitted subtrees, followed by excluded ones');
  const subtrees = (tag: number) => readAll(lists.find((list) => list.tag === tag)?.content ?? none).map(readSubtree);
  return { permitted: subtrees(permittedTag), excluded: subtrees(excludedTag) };
}

const [permittedTag, excludedTag] = [0xa0, 0xa1];
const none = Buffer.alloc(0);

function readSubtree(subtree: Element): Subtree {
  const { element, rest } = readElement(expectTag(subtree, tags.sequence).content);
  const type = element.tag & 0x1f;
  return rest.length > 0 ? { type } : { type, base: element.content };
}

/** False for a base that makes Go or Java refuse the whole certificate. Other verifiers interpret it differently. */
export function isReadable({ type, base }: Subtree): boolean {
  if (base === undefined) return true;
  const text = base.toString('latin1');
  switch (type) {
    case generalNameTags.dns:
      return isDomain(text);
    case generalNameTags.email:
      return text !== '' && (text.includes('@') ? mailboxOf(text) !== undefined : isDomain(text));
    case generalNameTags.uri:
      return /^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(text) && isIP(text) === 0;
    case generalNameTags.ip:
      return networkOf(base) !== undefined;
    default:
      return true;
  }
}

/** Labels of visible ASCII with an optional leading dot. The empty text means all domains. */
const isDomain = (text: string): boolean => /^(?:\.?[!-\-/-~]+(?:\.[!-\-/-~]+)*)?$/.test(text);

/**
 * Whether a name is within a subtree of its type: true or false when Go, OpenSSL and Java agree, undefined when they
 * disagree or cannot decide.
 * @param octets absent for a name that verifiers interpret differently
 */
export function isWithin(octets: Buffer | undefined, { type, base }: Subtree): boolean | undefined {
  if (octets === undefined || base === undefined) return undefined;
  const [name, constraint] = [octets, base].map((bytes) => bytes.toString('latin1')) as [string, string];
  switch (type) {
    case generalNameTags.dns:
      return isWithinDomain(name.toLowerCase(), constraint.toLowerCase());
    case generalNameTags.email:
      return isWithinMailboxes(name, constraint);
    case generalNameTags.uri:
      return isWithinHosts(uriHost(name), constraint.toLowerCase());
    case generalNameTags.ip:
      return isWithinNetwork(octets, base);
    case generalNameTags.directory:
      return ifReadable(() => startsWithNames(octets, base));
    default:
      return undefined;
  }
}

/** "Any DNS name that can be constructed by adding zero or more labels to the left"; a wildcard label is a label. */
function isWithinDomain(name: string, domain: string): boolean | undefined {
  // Go and OpenSSL read an empty domain as all names, Java as none.
  if (domain === '') return undefined;
  if (domain.startsWith('.')) return name.endsWith(domain);
  if (name === domain || name.endsWith(`.${domain}`)) return true;
  // A wildcard also covers names inside an excluded domain (compare Go's CVE-2025-61727).
  return name.startsWith('*.') && domain.endsWith(name.slice(1)) ? undefined : false;
}

function isWithinMailboxes(address: string, constraint: string): boolean | undefined {
  const name = mailboxOf(address);
  if (name === undefined) return undefined;
  if (!constraint.includes('@')) return isWithinHosts(name.domain, constraint.toLowerCase());
  const wanted = mailboxOf(constraint);
  if (wanted === undefined) return undefined;
  if (wanted.domain !== name.domain || wanted.local.toLowerCase() !== name.local.toLowerCase()) return false;
  // Some verifiers compare the local part case-sensitively, others do not.
  return wanted.local === name.local ? true : undefined;
}

/** Parses a mailbox with a dot-atom as its local part. The domain is returned in lower case. */
function mailboxOf(address: string): { readonly local: string; readonly domain: string } | undefined {
  const [, local, domain] = /^([\w!#$%&'*+/=?^`{|}~.-]+)@([A-Za-z0-9._-]+)$/.exec(address) ?? [];
  if (local === undefined || domain === undefined || /^\.|\.\.|\.$/.test(local) || !isDomain(domain)) return undefined;
  return { local, domain: domain.toLowerCase() };
}

/** RFC 5280 reads a constraint without a dot in front as one host; Go reads it as a domain that includes its subdomains. */
function isWithinHosts(host: string | undefined, constraint: string): boolean | undefined {
  if (host === undefined) return undefined;
  if (constraint.startsWith('.')) return host.endsWith(constraint);
  if (host === constraint) return true;
  return host.endsWith(`.${constraint}`) ? undefined : false;
}

/**
 * The host of a URI in lower case. Undefined when verifiers read the URI differently: with user information, with a query
 * directly after the host, with characters that host names do not have, or without a host.
 */
function uriHost(uri: string): string | undefined {
  const host = /^[a-z][a-z0-9+.-]*:\/\/([a-z0-9.-]+)(?::\d+)?(?:\/|$)/i.exec(uri)?.[1]?.toLowerCase();
  return host === undefined || /^[.-]|\.\.|[.-]$/.test(host) ? undefined : host;
}

/** True for a URI without a host or with an IP address. Go refuses it below any CA that has name constraints. */
export function hasNoHostToCompare(octets: Buffer): boolean {
  const authority = /^[^:]*:\/\/([^/?#]*)/.exec(octets.toString('latin1'))?.[1] ?? '';
  const host = authority.replace(/^[^@]*@/, '').replace(/:\d*$/, '');
  return host === '' || host.startsWith('[') || isIP(host) !== 0;
}

interface Network {
  readonly address: Buffer;
  readonly mask: Buffer;
}

/** A network whose mask is a prefix; otherwise undefined. */
function networkOf(base: Buffer): Network | undefined {
  if (base.length !== 8 && base.length !== 32) return undefined;
  const [address, mask] = [base.subarray(0, base.length / 2), base.subarray(base.length / 2)];
  const bits = [...mask].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? { address, mask } : undefined;
}

function isWithinNetwork(ip: Buffer, base: Buffer): boolean | undefined {
  const network = networkOf(base);
  if (network === undefined) return undefined;
  const { address, mask } = network;
  // Java reads the network of all IPv4 addresses as all IPv6 addresses, too, and vice versa.
  if (ip.length !== address.length) return mask.every((octet) => octet === 0) ? undefined : false;
  const masked = (octets: Buffer) => octets.map((octet, i) => octet & (mask[i] ?? 0));
  if (!masked(ip).every((octet, i) => octet === masked(address)[i])) return false;
  // If the network has bits outside its mask, Go may not match an address that is within it.
  return address.equals(masked(address)) ? true : undefined;
}

/** Whether a name begins with the relative names of another name (RFC 5280 7.1). */
function startsWithNames(name: Buffer, base: Buffer): boolean | undefined {
  const wanted = readOnly(base, tags.sequence).children();
  const present = readOnly(name, tags.sequence).children();
  const verdicts = new Set(wanted.map((set, index) => isSameName(present[index], set)));
  if (verdicts.has(false)) return false;
  return verdicts.has(undefined) ? undefined : true;
}

/** Verifiers agree that equal octets match. They disagree about case, blanks and string types. */
function isSameName(set: Element | undefined, wanted: Element): boolean | undefined {
  if (set === undefined) return false;
  if (set.der.equals(wanted.der)) return true;
  const [one, other] = [readAttribute(set), readAttribute(wanted)];
  if (one === undefined || other === undefined) return undefined;
  if (one.type !== other.type) return false;
  return one.text === undefined || other.text === undefined || one.text === other.text ? undefined : false;
}

/** The only attribute of a relative name; undefined for several. Its text is folded, see textOf. */
function readAttribute(set: Element): { readonly type: string; readonly text: string | undefined } | undefined {
  const [only, ...others] = expectTag(set, tags.set).children();
  if (others.length > 0) return undefined;
  const [type, value] = expectTag(only, tags.sequence).children();
  return { type: readOid(type), text: textOf(value) };
}

/**
 * Folds width, case, blanks and invisible characters, as RFC 4518 does and beyond that. Every verifier distinguishes texts that
 * still differ after the folding.
 */
function textOf(value: Element | undefined): string | undefined {
  const text = value === undefined ? undefined : decoded(value);
  return text
    ?.normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\p{Cc}\p{Default_Ignorable_Code_Point}]/gu, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function decoded({ tag, content }: Element): string | undefined {
  switch (tag) {
    case tags.utf8String:
      return isUtf8(content) ? content.toString('utf8') : undefined;
    case tags.bmpString:
      return content.length % 2 === 0 ? Buffer.from(content).swap16().toString('utf16le') : undefined;
    case tags.printableString:
    case 0x12: // NumericString
    case 0x14: // TeletexString
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return content.every((octet) => octet < 0x80) ? content.toString('latin1') : undefined;
    default:
      return undefined;
  }
}

/** The result of `read`; undefined when it throws a PkiError. */
export function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}
