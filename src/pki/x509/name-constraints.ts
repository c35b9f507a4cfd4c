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

/** A requested name with its GeneralName type and the octets to compare with constraints. */
interface ConstrainedName {
  readonly type: number;
  readonly text: string;
  /** Absent for a name that verifiers compare differently. */
  readonly octets?: Buffer;
}

/**
 * The names that a NameConstraints extension (RFC 5280 4.2.1.10) does not allow. Verifiers differ in corner cases, so a name
 * is outside if Go, OpenSSL or Java might refuse it: an error is better than a leaf that some peers refuse.
 * @throws PkiError MalformedDer
 */
export const namesOutsideConstraints = (constraints: Buffer, names: SubjectAltNames, subject: Subject): string[] =>
  outside(constraints, constrainedNames(names, subject));

/**
 * The names that the constraints of any CA on the path do not allow.
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
 * The names of a lower CA that the constraints do not allow: they apply to its subject and alternative names, too. Never
 * throws.
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
  return excluded ?? ['the names that cannot be read'];
}

/** OpenSSL refuses a certificate that needs more comparisons of a name with a subtree. */
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

/** True when Go, OpenSSL and Java can read a NameConstraints extension, and it is not empty. Never throws. */
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
      // OpenSSL applies the constraints on mailboxes to the otherName SmtpUTF8Mailbox (RFC 9598), too.
      const types = oid === smtpUtf8Mailbox ? [otherName, email] : [otherName];
      return types.map((type) => ({ type, text: `otherName ${oid}` }));
    }),
    ...(subjectIsEmpty ? [] : [{ type: directory, text: 'the subject', octets: subjectDer }]),
    ...commonNameAsHost(subject.commonName, names),
  ];
}

const smtpUtf8Mailbox = '1.3.6.1.5.5.7.8.9';

/**
 * Without a DNS name in the certificate, OpenSSL applies the constraints on DNS names to a common name that looks like a
 * host name, and GnuTLS to every common name. OpenSSL has an option to do it always.
 */
function commonNameAsHost(commonName: string | undefined, { dnsNames }: SubjectAltNames): ConstrainedName[] {
  if (commonName === undefined) return [];
  const isHost = /^[A-Za-z0-9_*-]*\.[A-Za-z0-9_*.-]*$/.test(commonName);
  if (!isHost && dnsNames.length > 0) return [];
  const octets = Buffer.from(commonName, 'utf8');
  return [{ type: generalNameTags.dns, text: `the common name ${commonName}`, octets }];
}
