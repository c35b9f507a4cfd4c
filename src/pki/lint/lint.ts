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
 * Decodes a TBSCertificate before it is signed, and refuses it if it breaks the leaf profile or RFC 5280. The lint shares
 * no tables and no encoders with the code that writes certificates, so that a bug there is found here.
 * @throws PkiError ProfileViolation
 */
export function lintLeaf(
  tbs: Buffer,
  { role, usages = [] }: Pick<LeafProfile, 'role' | 'usages'>,
  path: CertificationPath,
): void {
  try {
    const fields = readOnly(tbs, tags.sequence).children();
    assertRule(fields.length === 8, 'a certificate has exactly the eight fields of the profile (RFC 5280 4.1)');
    const [version, serial, algorithm, issuer, validity, subject, key, extensions] = fields;
    const [ca] = path;
    assertRule(version?.der.equals(version3) === true, 'the version is 3');
    lintSerialNumber(serial);
    lintAlgorithm(algorithm, ca.publicKey);
    assertRule(issuer?.der.equals(ca.subject) === true, 'the issuer equals the subject of the CA octet by octet');
    lintValidity(validity, path);
    const { isEmpty } = lintSubject(subject);
    const { kind, bits } = lintPublicKey(key);
    const values = readExtensions(extensions, isEmpty);
    assertRule(values.basicConstraints.equals(emptySequence), 'basicConstraints is empty, because a leaf is not a CA');
    lintKeyUsage(values.keyUsage, kind);
    lintExtendedKeyUsage(values.extKeyUsage, [...roleUsages[role], ...usages]);
    const own = readOnly(values.subjectKeyIdentifier, tags.octetString).content;
    assertRule(own.equals(keyIdentifierOf(bits)), 'the subject key identifier is derived from the key (RFC 7093 2)');
    const [above, ...others] = readOnly(values.authorityKeyIdentifier, tags.sequence).children();
    const isIssuers =
      above?.tag === 0x80 && above.content.toString('hex') === (ca.subjectKeyId ?? derivedId(ca.publicKey));
    assertRule(
      isIssuers && others.length === 0,
      'the authority key identifier contains only the key identifier of the CA',
    );
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
  assertRule(readOid(id) === expected, 'the signature algorithm matches the key of the CA');
  assertRule(
    bits === undefined
      ? parameters.length === 0
      : parameters.length === 1 && parameters[0]?.der.equals(nullDer) === true,
    'the signature algorithm has NULL parameters for RSA and none for other keys (RFC 4055 5, RFC 5758 3.2)',
  );
}

const nullDer = Buffer.of(5, 0);

function lintValidity(validity: Element | undefined, path: CertificationPath): void {
  const [begin, end, ...more] = expectTag(validity, tags.sequence).children();
  assertRule(more.length === 0, 'the validity consists of two times');
  const [notBefore, notAfter] = [readTime(begin), readTime(end)];
  assertRule(notBefore < notAfter, 'notBefore is earlier than notAfter');
  const limits = commonValidity(path);
  assertRule(
    notBefore >= limits.notBefore.getTime() && notAfter <= limits.notAfter.getTime(),
    'the validity of a certificate is within that of every CA above it',
  );
}

/** A time in milliseconds. Only the form of RFC 5280 4.1.2.5 is accepted: UTCTime through 2049, whole seconds, Zulu. */
function readTime(element: Element | undefined): number {
  const isUtcTime = element?.tag === tags.utcTime;
  const { content } = isUtcTime ? element : expectTag(element, tags.generalizedTime);
  const digits = content.toString('latin1');
  assertRule((isUtcTime ? /^\d{12}Z$/ : /^\d{14}Z$/).test(digits), 'a time has whole seconds, in UTC');
  const full = isUtcTime ? `${digits < '5' ? '20' : '19'}${digits}` : digits;
  assertRule(isUtcTime || full >= '2050', 'a time before 2050 is a UTCTime');
  const [year, month, day] = [full.slice(0, 4), full.slice(4, 6), full.slice(6, 8)];
  const moment = new Date(`${year}-${month}-${day}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12)}`);
  // JavaScript turns 30 February into a day in March, and 24:00 into the next day. The day of an invalid date is NaN.
  assertRule(moment.getUTCDate() === Number(day), 'a time is a date that exists');
  return moment.getTime();
}

/** Whether an extension is critical. subjectAltName is critical when the subject is empty. */
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

/** The values of the extensions. Each extension of the profile must occur once, and no other may occur. */
function readExtensions(wrapper: Element | undefined, subjectIsEmpty: boolean): Record<ExtensionName, Buffer> {
  const list = readOnly(expectTag(wrapper, 0xa3).content, tags.sequence).children();
  const values: Partial<Record<ExtensionName, Buffer>> = {};
  for (const item of list) {
    const parts = expectTag(item, tags.sequence).children();
    const name = extensions.get(readOid(parts[0]));
    assertRule(name !== undefined, 'a certificate has only extensions of the profile');
    assertRule(values[name] === undefined, 'no extension is repeated (RFC 5280 4.2)');
    const [flag, value] = parts.length === 3 ? parts.slice(1) : [undefined, parts[1]];
    assertRule(
      parts.length < 4 && (flag === undefined || flag.der.equals(trueDer)),
      'critical is TRUE or absent (X.690 11.5)',
    );
    const isCritical = criticality[name] === true || (criticality[name] !== false && subjectIsEmpty);
    assertRule(isCritical === (flag !== undefined), `${name} is ${isCritical ? '' : 'not '}critical`);
    values[name] = expectTag(value, tags.octetString).content;
  }
  assertRule(isComplete(values), 'a certificate has every extension of the profile');
  return values;
}

const isComplete = (values: Partial<Record<ExtensionName, Buffer>>): values is Record<ExtensionName, Buffer> =>
  Object.keys(values).length === extensions.size;

const trueDer = Buffer.of(1, 1, 0xff);

/** The bits of keyUsage in its first octet (RFC 5280 4.2.1.3). */
const [digitalSignature, contentCommitment, keyEncipherment, dataEncipherment, keyAgreement] = [128, 64, 32, 16, 8];
/** RFC 3279 2.3.1, RFC 5480 3, RFC 8410 5, without the usages of a CA. */
const keyUsagesOf: Readonly<Record<LeafKeyKind, number>> = {
  RSA: digitalSignature | contentCommitment | keyEncipherment | dataEncipherment,
  ECDSA: digitalSignature | contentCommitment | keyAgreement,
  Ed25519: digitalSignature | contentCommitment,
};

function lintKeyUsage(value: Buffer, kind: LeafKeyKind): void {
  const { content } = readOnly(value, tags.bitString);
  const [unused = 0, first = 0] = content;
  // Bit 8 (decipherOnly) would need a second octet. The last bit that DER writes is a one (X.690 11.2.2).
  assertRule(
    content.length === 2 && unused < 8 && first % 2 ** (unused + 1) === 2 ** unused,
    'keyUsage is not empty and is in DER',
  );
  assertRule((first & digitalSignature) !== 0, 'keyUsage includes digitalSignature');
  assertRule((first & ~keyUsagesOf[kind]) === 0, 'keyUsage has only usages that a leaf with this kind of key may have');
}

const roleUsages = { server: ['serverAuth'], client: ['clientAuth'], peer: ['serverAuth', 'clientAuth'] } as const;
const purposeNames: ReadonlySet<string> = new Set(Object.values(purposes));

function lintExtendedKeyUsage(value: Buffer, requested: readonly string[]): void {
  const has = readOnly(value, tags.sequence)
    .children()
    .map((id) => purposes[readOid(id)]);
  const expected = requested.filter((usage) => purposeNames.has(usage));
  const isExpected = has.every((purpose) => purpose !== undefined && expected.includes(purpose));
  assertRule(
    isExpected && new Set(has).size === has.length && new Set(expected).size === has.length,
    'extKeyUsage has exactly the usages of the role and the requested ones, each once',
  );
}

/** The key identifier of a CA without a subject key identifier. */
function derivedId(key: KeyObject): string {
  const [, bits] = readOnly(publicKeyDer(key), tags.sequence).children();
  return keyIdentifierOf(expectTag(bits, tags.bitString).content.subarray(1)).toString('hex');
}
