import type { Certificate } from './certificate.ts';
import { expectTag, readAll, readElement, readOnly, tags } from './der.ts';
import { PkiError } from './error.ts';
import { encodeIpAddress, encodeSubject, generalNameTags, type Subject, type SubjectAltNames } from './name.ts';

/** A constraint of one name type: its GeneralName tag number and its base octets, which are absent when it is odd. */
interface Subtree {
  readonly type: number;
  readonly base?: Buffer;
}

/** The names of a request, each with its GeneralName type and the octets that constraints are compared with. */
interface ConstrainedName {
  readonly type: number;
  readonly text: string;
  readonly octets: Buffer;
}

/**
 * The names that an issuer's NameConstraints extension (RFC 5280 4.2.1.10) does not let it certify; empty when it lets
 * it certify all. A constraint that cannot be understood excludes every name of its type: a leaf that some verifiers
 * refuse is worth less than an answer.
 * @throws PkiError MalformedDer
 */
export const namesOutsideConstraints = (constraints: Buffer, names: SubjectAltNames, subject: Subject): string[] =>
  outside(constraints, constrainedNames(names, encodeSubject(subject)));

/**
 * The names that any of the CAs above a leaf does not let it have.
 * @throws PkiError MalformedDer
 */
export const namesOutsidePath = (path: readonly Certificate[], names: SubjectAltNames, subject: Subject): string[] => [
  ...new Set(
    path.flatMap(({ nameConstraints }) =>
      nameConstraints === undefined ? [] : namesOutsideConstraints(nameConstraints, names, subject),
    ),
  ),
];

/**
 * What the constraints exclude of a CA that stands below: its subject and alternative names are bound by them, too.
 * Never throws.
 */
export function certificateNamesOutsideConstraints(constraints: Buffer, certificate: Certificate): string[] {
  const { subject, subjectAltNames } = certificate;
  const excluded = ifReadable(() => {
    const names = subjectAltNames === undefined ? [] : readOnly(subjectAltNames, tags.sequence).children();
    return outside(constraints, [
      { type: generalNameTags.directory, text: 'the subject', octets: subject },
      ...names.map(({ tag, content }) => ({ type: tag & 0x1f, text: 'an alternative name', octets: content })),
    ]);
  });
  return excluded ?? ['what cannot be read'];
}

/** As many comparisons of a name with a subtree as OpenSSL makes for a certificate before it refuses it. */
const maxComparisons = 2 ** 20;

function outside(constraints: Buffer, names: readonly ConstrainedName[]): string[] {
  const [permitted, excluded] = [0xa0, 0xa1].map((tag) => readSubtrees(constraints, tag));
  const subtrees = (permitted?.length ?? 0) + (excluded?.length ?? 0);
  if (names.length * subtrees > maxComparisons) return names.map(({ text }) => text);
  return names
    .filter((name) => {
      const allowed = permitted?.filter(({ type }) => type === name.type) ?? [];
      const denied = excluded?.filter(({ type }) => type === name.type) ?? [];
      const isDenied = denied.some(({ base }) => covers(name, base) !== false || wildcardReaches(name, base));
      return isDenied || (allowed.length > 0 && !allowed.some(({ base }) => covers(name, base) === true));
    })
    .map(({ text }) => text);
}

/** Whether a NameConstraints extension has the form it needs for any verdict, and says anything. Never throws. */
export function constraintsAreReadable(constraints: Buffer): boolean {
  const lists = ifReadable(() => {
    const found = readOnly(constraints, tags.sequence)
      .children()
      .map(({ tag }) => tag);
    for (const tag of new Set(found)) readSubtrees(constraints, tag);
    return found;
  });
  // Of two lists of a kind one would be read here, and perhaps the other one by a verifier.
  const hasEachOnce = lists !== undefined && lists.length > 0 && new Set(lists).size === lists.length;
  return hasEachOnce && lists.every((tag) => tag === 0xa0 || tag === 0xa1);
}

function readSubtrees(constraints: Buffer, tag: number): Subtree[] {
  const list = readOnly(constraints, tags.sequence)
    .children()
    .find((element) => element.tag === tag);
  return readAll(list?.content ?? Buffer.alloc(0)).map((subtree) => {
    const { element, rest } = readElement(expectTag(subtree, tags.sequence).content);
    const type = element.tag & 0x1f;
    // Distances, which RFC 5280 rules out and nobody knows how to apply.
    return rest.length > 0 ? { type } : { type, base: element.content };
  });
}

/** The result; undefined when octets of the root turn out not to be what they should. */
function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

function constrainedNames(names: SubjectAltNames, subject: Buffer): ConstrainedName[] {
  const { otherName, email, dns, directory, uri, ip } = generalNameTags;
  const text = (type: number) => (name: string) => ({ type, text: name, octets: Buffer.from(name, 'latin1') });
  const subjectIsEmpty = readOnly(subject, tags.sequence).content.length === 0;
  return [
    ...names.dnsNames.map(text(dns)),
    ...names.emailAddresses.map(text(email)),
    ...names.uris.map(text(uri)),
    ...names.ipAddresses.map((address) => ({ type: ip, text: address, octets: encodeIpAddress(address) })),
    ...names.otherNames.map(({ oid }) => ({ type: otherName, text: `otherName ${oid}`, octets: Buffer.alloc(0) })),
    ...(subjectIsEmpty ? [] : [{ type: directory, text: 'the subject', octets: subject }]),
  ];
}

/** Whether a name lies within a subtree; undefined when that cannot be told. */
function covers({ type, octets }: ConstrainedName, base: Buffer | undefined): boolean | undefined {
  if (base === undefined) return undefined;
  const name = octets.toString('latin1').toLowerCase();
  const constraint = base.toString('latin1').toLowerCase();
  switch (type) {
    case generalNameTags.dns:
      return isWithinDomain(name, constraint);
    case generalNameTags.email: {
      if (constraint.includes('@')) return octets.toString('latin1') === base.toString('latin1');
      const host = name.slice(name.lastIndexOf('@') + 1);
      return constraint.startsWith('.') ? host.endsWith(constraint) : host === constraint;
    }
    case generalNameTags.uri: {
      const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([a-z0-9.-]+)/.exec(name)?.[1];
      if (host === undefined) return undefined;
      return constraint.startsWith('.') ? host.endsWith(constraint) : host === constraint;
    }
    case generalNameTags.ip:
      return isWithinNetwork(octets, base);
    case generalNameTags.directory:
      return ifReadable(() => startsWithNames(octets, base));
    default:
      return undefined;
  }
}

/** "Any DNS name that can be constructed by adding zero or more labels to the left"; a wildcard label is a label. */
const isWithinDomain = (name: string, domain: string): boolean =>
  domain === '' || (domain.startsWith('.') ? name.endsWith(domain) : name === domain || name.endsWith(`.${domain}`));

/** A wildcard stands for names below it, too, of which one may be excluded (compare Go's CVE-2025-61727). */
const wildcardReaches = ({ type, text }: ConstrainedName, base: Buffer | undefined): boolean =>
  type === generalNameTags.dns &&
  text.startsWith('*.') &&
  base?.toString('latin1').toLowerCase().endsWith(text.slice(1).toLowerCase()) === true;

function isWithinNetwork(address: Buffer, network: Buffer): boolean | undefined {
  if (network.length !== 8 && network.length !== 32) return undefined;
  const half = network.length / 2;
  if (address.length !== half) return false;
  return address.every((octet, i) => ((octet ^ (network[i] ?? 0)) & (network[half + i] ?? 0)) === 0);
}

/** Relative names compared octet by octet, which is stricter than RFC 5280 7.1 and never looser. */
function startsWithNames(subject: Buffer, base: Buffer): boolean {
  const wanted = readOnly(base, tags.sequence).children();
  const present = readOnly(subject, tags.sequence).children();
  return wanted.every(({ der }, index) => present[index]?.der.equals(der) === true);
}
