import { readOnly, tags } from '../asn1/der.ts';
import type { Certificate } from './certificate.ts';
import {
  hasNoHostToCompare,
  ifReadable,
  isReadable,
  isWithin,
  readSubtrees,
  type Subtrees,
} from './constraint-subtree.ts';
import {
  encodeIpAddress,
  encodeSubject,
  generalNameTags,
  type Subject,
  type SubjectAltNames,
} from './distinguished-name.ts';

/** A name of a request, with its GeneralName type and the octets that constraints are compared with. */
interface ConstrainedName {
  readonly type: number;
  readonly text: string;
  /** Absent for a name that verifiers compare in their own ways. */
  readonly octets?: Buffer;
}

/**
 * The names that an issuer's NameConstraints extension (RFC 5280 4.2.1.10) does not let it certify; empty when it lets
 * it certify all. Verifiers differ in corners: a name is outside when any of those that we know (Go, OpenSSL, Java)
 * might refuse it. A leaf that some peers refuse is worth less than an answer.
 * @throws PkiError MalformedDer
 */
export const namesOutsideConstraints = (constraints: Buffer, names: SubjectAltNames, subject: Subject): string[] =>
  outside(constraints, constrainedNames(names, subject));

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
  const subtrees = readSubtrees(constraints);
  const all = [...subtrees.permitted, ...subtrees.excluded];
  const isBeyondAll = names.length * all.length > maxComparisons || !all.every(isReadable);
  const found = isBeyondAll ? names : names.filter((name) => isOutside(name, subtrees));
  return [...new Set(found.map(({ text }) => text))];
}

function isOutside({ type, octets }: ConstrainedName, { permitted, excluded }: Subtrees): boolean {
  if (type === generalNameTags.uri && octets !== undefined && hasNoHostToCompare(octets)) return true;
  const ofType = (subtrees: Subtrees['permitted']) => subtrees.filter((subtree) => subtree.type === type);
  const allowed = ofType(permitted);
  return (
    ofType(excluded).some((subtree) => isWithin(octets, subtree) !== false) ||
    (allowed.length > 0 && !allowed.some((subtree) => isWithin(octets, subtree) === true))
  );
}

/** Whether every verifier that we know can read a NameConstraints extension, and whether it says anything. Never throws. */
export function constraintsAreReadable(constraints: Buffer): boolean {
  const subtrees = ifReadable(() => readSubtrees(constraints));
  const all = [...(subtrees?.permitted ?? []), ...(subtrees?.excluded ?? [])];
  return all.length > 0 && all.every(isReadable);
}

function constrainedNames(names: SubjectAltNames, subject: Subject): ConstrainedName[] {
  const { otherName, email, dns, directory, uri, ip } = generalNameTags;
  const text = (type: number) => (name: string) => ({ type, text: name, octets: Buffer.from(name, 'latin1') });
  const subjectDer = encodeSubject(subject);
  const subjectIsEmpty = readOnly(subjectDer, tags.sequence).content.length === 0;
  return [
    ...names.dnsNames.map(text(dns)),
    ...names.emailAddresses.map(text(email)),
    ...names.uris.map(text(uri)),
    ...names.ipAddresses.map((address) => ({ type: ip, text: address, octets: encodeIpAddress(address) })),
    ...names.otherNames.flatMap(({ oid }) => {
      // A mailbox in UTF-8 (RFC 9598) is an otherName that OpenSSL holds against the constraints of mailboxes.
      const types = oid === smtpUtf8Mailbox ? [otherName, email] : [otherName];
      return types.map((type) => ({ type, text: `otherName ${oid}` }));
    }),
    ...(subjectIsEmpty ? [] : [{ type: directory, text: 'the subject', octets: subjectDer }]),
    ...commonNameAsHost(subject.commonName, names),
  ];
}

const smtpUtf8Mailbox = '1.3.6.1.5.5.7.8.9';

/**
 * OpenSSL holds a common name that looks like a host name against the constraints of DNS names where there is no DNS name
 * beside it, or always if it is told so; GnuTLS does so with a common name of any form.
 */
function commonNameAsHost(commonName: string | undefined, { dnsNames }: SubjectAltNames): ConstrainedName[] {
  if (commonName === undefined) return [];
  const isHost = /^[A-Za-z0-9_*-]*\.[A-Za-z0-9_*.-]*$/.test(commonName);
  if (!isHost && dnsNames.length > 0) return [];
  const octets = Buffer.from(commonName, 'utf8');
  return [{ type: generalNameTags.dns, text: `the common name ${commonName}`, octets }];
}
