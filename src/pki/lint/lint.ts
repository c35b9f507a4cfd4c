import type { KeyObject } from 'node:crypto';
import { type Element, expectTag, positiveInteger, readOid, readOnly, tags } from '../asn1/der.ts';
import { describeKey, publicKeyDer } from '../keys/key.ts';
import { PkiError } from '../pki-error.ts';
import { type CertificationPath, commonValidity } from '../x509/certification-path.ts';
import type { LeafProfile } from '../x509/leaf-profile.ts';
import { keyIdentifierOf, type LeafKeyKind, lintPublicKey } from './lint-key.ts';
import { lintAlternativeNames, lintSubject } from './lint-names.ts';
import { extensionNames, purposes, rsaSignatures, signatures } from './lint-oids.ts';
import { assertRule } from './lint-rule.ts';

/**
 * Reads a TBSCertificate back from the octets that are about to be signed, and refuses what breaks the profile of leaves or
 * RFC 5280. It shares with the code that writes certificates neither tables nor encoders: a fault there must not be one here.
 * @throws PkiError ProfileViolation
 */
export function lintLeaf(
  tbs: Buffer,
  { role, usages = [] }: Pick<LeafProfile, 'role' | 'usages'>,
  path: CertificationPath,
): void {
  try {
    const fields = readOnly(tbs, tags.sequence).children();
    assertRule(fields.length === 8, 'a certificate has the eight fields of the profile, and no other (RFC 5280 4.1)');
    const [version, serial, algorithm, issuer, validity, subject, key, extensions] = fields;
    const [ca] = path;
    assertRule(version?.der.equals(version3) === true, 'the version is 3');
    lintSerialNumber(serial);
    lintAlgorithm(algorithm, ca.publicKey);
    assertRule(issuer?.der.equals(ca.subject) === true, 'the issuer is the subject of the CA, octet by octet');
    lintValidity(validity, path);
    const { isEmpty } = lintSubject(subject);
    const { kind, bits } = lintPublicKey(key);
    const values = readExtensions(extensions, isEmpty);
    assertRule(values.basicConstraints.equals(emptySequence), 'basicConstraints is empty: a leaf is no CA');
    lintKeyUsage(values.keyUsage, kind);
    lintExtendedKeyUsage(values.extKeyUsage, [...roleUsages[role], ...usages]);
    const own = readOnly(values.subjectKeyIdentifier, tags.octetString).content;
    assertRule(own.equals(keyIdentifierOf(bits)), 'the subject key identifier is that of the key (RFC 7093 2)');
    const [above, ...others] = readOnly(values.authorityKeyIdentifier, tags.sequence).children();
    const isIssuers =
      above?.tag === 0x80 && above.content.toString('hex') === (ca.subjectKeyId ?? derivedId(ca.publicKey));
    assertRule(isIssuers && others.length === 0, 'the authority key identifier is the key identifier of the CA, alone');
    lintAlternativeNames(values.subjectAltName);
  } catch (error) {
    if (!(error instanceof PkiError) || error.code === 'ProfileViolation') throw error;
    throw new PkiError('ProfileViolation', `the certificate is not signed: ${error.message}`, { cause: error });
  }
}

const version3 = Buffer.of(0xa0, 3, 2, 1, 2);
const emptySequence = Buffer.of(0x30, 0);

function lintSerialNumber(serial: Element | undefined): void {
  const { content } = expectTag(serial, tags.integer);
  assertRule(positiveInteger(serial) !== undefined, 'the serial number is positive (RFC 5280 4.1.2.2)');
  // Room for the 127 random bits of the profile.
  assertRule(content.length >= 16 && content.length <= 20, 'the serial number has 16 to 20 octets');
}

function lintAlgorithm(algorithm: Element | undefined, signer: KeyObject): void {
  const [id, ...parameters] = expectTag(algorithm, tags.sequence).children();
  const { modulusLength: bits } = signer.asymmetricKeyDetails ?? {};
  const expected =
    bits === undefined ? signatures[describeKey(signer)] : rsaSignatures.find(({ fromBits }) => bits >= fromBits)?.id;
  assertRule(readOid(id) === expected, 'the signature algorithm is the one that the key of the CA signs with');
  assertRule(
    bits === undefined
      ? parameters.length === 0
      : parameters.length === 1 && parameters[0]?.der.equals(nullDer) === true,
    'the signature algorithm has NULL parameters for RSA, and else none (RFC 4055 5, RFC 5758 3.2)',
  );
}

const nullDer = Buffer.of(5, 0);

function lintValidity(validity: Element | undefined, path: CertificationPath): void {
  const [begin, end, ...more] = expectTag(validity, tags.sequence).children();
  assertRule(more.length === 0, 'the validity is two times');
  const [notBefore, notAfter] = [readTime(begin), readTime(end)];
  assertRule(notBefore < notAfter, 'a certificate begins before it ends');
  const limits = commonValidity(path);
  assertRule(
    notBefore >= limits.notBefore.getTime() && notAfter <= limits.notAfter.getTime(),
    'a certificate is valid while every CA above it is',
  );
}

/** Milliseconds of a time in the one form that it has (RFC 5280 4.1.2.5): UTCTime through 2049, whole seconds, Zulu. */
function readTime(element: Element | undefined): number {
  const isUtcTime = element?.tag === tags.utcTime;
  const { content } = isUtcTime ? element : expectTag(element, tags.generalizedTime);
  const digits = content.toString('latin1');
  assertRule((isUtcTime ? /^\d{12}Z$/ : /^\d{14}Z$/).test(digits), 'a time has whole seconds, in UTC');
  const full = isUtcTime ? `${digits < '5' ? '20' : '19'}${digits}` : digits;
  assertRule(isUtcTime || full >= '2050', 'a time before 2050 is a UTCTime');
  const [year, month, day] = [full.slice(0, 4), full.slice(4, 6), full.slice(6, 8)];
  const moment = new Date(`${year}-${month}-${day}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12)}`);
  // The 30th of February is read as a day in March, 24 o'clock as one later, and what is no time at all as NaN.
  assertRule(moment.getUTCDate() === Number(day), 'a time is a date');
  return moment.getTime();
}

/** Whether an extension of the profile is critical; an alternative name is where there is no subject. */
const criticality = {
  basicConstraints: true,
  keyUsage: true,
  extKeyUsage: false,
  subjectKeyIdentifier: false,
  authorityKeyIdentifier: false,
  subjectAltName: 'without a subject',
} as const;

type ExtensionName = keyof typeof criticality;
const extensions = new Map<string, ExtensionName>(Object.entries(extensionNames));

/** The values of the extensions, of which each of the profile is there once, and no other. */
function readExtensions(wrapper: Element | undefined, subjectIsEmpty: boolean): Record<ExtensionName, Buffer> {
  const list = readOnly(expectTag(wrapper, 0xa3).content, tags.sequence).children();
  const values: Partial<Record<ExtensionName, Buffer>> = {};
  for (const item of list) {
    const parts = expectTag(item, tags.sequence).children();
    const name = extensions.get(readOid(parts[0]));
    assertRule(name !== undefined, 'there are extensions of the profile alone');
    assertRule(values[name] === undefined, 'each extension is there once (RFC 5280 4.2)');
    const [flag, value] = parts.length === 3 ? parts.slice(1) : [undefined, parts[1]];
    assertRule(
      parts.length < 4 && (flag === undefined || flag.der.equals(trueDer)),
      'critical is TRUE, or left out (X.690 11.5)',
    );
    const isCritical = criticality[name] === true || (criticality[name] !== false && subjectIsEmpty);
    assertRule(isCritical === (flag !== undefined), `${name} is ${isCritical ? '' : 'not '}critical`);
    values[name] = expectTag(value, tags.octetString).content;
  }
  assertRule(isComplete(values), 'there is every extension of the profile');
  return values;
}

const isComplete = (values: Partial<Record<ExtensionName, Buffer>>): values is Record<ExtensionName, Buffer> =>
  Object.keys(values).length === extensions.size;

const trueDer = Buffer.of(1, 1, 0xff);

/** The bits of keyUsage in their octet (RFC 5280 4.2.1.3). */
const [digitalSignature, contentCommitment, keyEncipherment, dataEncipherment, keyAgreement] = [128, 64, 32, 16, 8];
/** RFC 3279 2.3.1, RFC 5480 3, RFC 8410 5, without what a CA does. */
const keyUsagesOf: Readonly<Record<LeafKeyKind, number>> = {
  RSA: digitalSignature | contentCommitment | keyEncipherment | dataEncipherment,
  ECDSA: digitalSignature | contentCommitment | keyAgreement,
  Ed25519: digitalSignature | contentCommitment,
};

function lintKeyUsage(value: Buffer, kind: LeafKeyKind): void {
  const { content } = readOnly(value, tags.bitString);
  const [unused = 0, first = 0] = content;
  // Bit 8, decipherOnly, would be in an octet of its own; and the last bit that is written is a one (X.690 11.2.2).
  assertRule(
    content.length === 2 && unused < 8 && first % 2 ** (unused + 1) === 2 ** unused,
    'keyUsage has bits, as DER has them',
  );
  assertRule((first & digitalSignature) !== 0, 'keyUsage has digitalSignature');
  assertRule((first & ~keyUsagesOf[kind]) === 0, 'keyUsage has what a leaf with such a key can do, and nothing else');
}

const roleUsages = { server: ['serverAuth'], client: ['clientAuth'], peer: ['serverAuth', 'clientAuth'] } as const;
const purposeNames: ReadonlySet<string> = new Set(Object.values(purposes));

function lintExtendedKeyUsage(value: Buffer, asked: readonly string[]): void {
  const has = readOnly(value, tags.sequence)
    .children()
    .map((id) => purposes[readOid(id)]);
  const wanted = asked.filter((usage) => purposeNames.has(usage));
  const isWanted = has.every((purpose) => purpose !== undefined && wanted.includes(purpose));
  assertRule(
    isWanted && new Set(has).size === has.length && new Set(wanted).size === has.length,
    'extKeyUsage has the usages of the role and those that were asked for, each once',
  );
}

/** What stands for the identifier of a CA that says none. */
function derivedId(key: KeyObject): string {
  const [, bits] = readOnly(publicKeyDer(key), tags.sequence).children();
  return keyIdentifierOf(expectTag(bits, tags.bitString).content.subarray(1)).toString('hex');
}
