/** Each test breaks one rule in the octets before they are signed: exactly that rule must refuse them, with its own message. */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { oids } from '../../../../src/pki/asn1/oid.ts';
import type { Issuer, LeafProfile, Role } from '../../../../src/pki/index.ts';
import { prepareLeaf } from '../../../../src/pki/issue/prepare-certificate.ts';
import { lintLeaf } from '../../../../src/pki/lint/lint.ts';
import { pathOf } from '../../../../src/pki/x509/certification-path.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { extension } from '../../../support/roots/extensions.ts';
import { raw, rsaKey } from '../../../support/roots/make.ts';
import { throwsCode } from '../expect.ts';

const above = root({ name: 'Above' });
const signer = intermediate(above, { name: 'Signer' });
const { certificate: ca } = signer;
const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
const p256 = spkiOf(privateKey());

/** RFC 7093 2, method 1. */
const keyIdOf = (spki: Buffer): Buffer => {
  const [, bits] = asn1.readAll(asn1.readOnly(spki, asn1.tags.sequence).content);
  return createHash('sha256')
    .update(bits?.content.subarray(1) ?? '')
    .digest()
    .subarray(0, 20);
};

interface Parts {
  readonly version: asn1.Asn1;
  readonly serial: asn1.Asn1;
  readonly algorithm: asn1.Asn1;
  readonly issuer: asn1.Asn1;
  readonly validity: asn1.Asn1;
  readonly subject: asn1.Asn1;
  readonly key: Buffer;
  readonly more: readonly asn1.Asn1[];
  readonly extensions: Extensions;
}
interface Extensions {
  readonly basicConstraints: asn1.Asn1 | undefined;
  readonly keyUsage: asn1.Asn1 | undefined;
  readonly extKeyUsage: asn1.Asn1 | undefined;
  readonly subjectKeyIdentifier: asn1.Asn1 | undefined;
  readonly authorityKeyIdentifier: asn1.Asn1 | undefined;
  readonly subjectAltName: asn1.Asn1 | undefined;
  readonly other: asn1.Asn1 | undefined;
}

const dns = (name: string): asn1.Asn1 => asn1.implicit(2, Buffer.from(name, 'latin1'));
const san = (...names: readonly asn1.Asn1[]): asn1.Asn1 => extension(oids.subjectAltName, asn1.sequence(...names));
const attribute = (type: string, value: asn1.Asn1): asn1.Asn1 => asn1.setOf(asn1.sequence(asn1.oid(type), value));
/** A subject with this single attribute. */
const subjectOf = (type: string, value: asn1.Asn1) => ({ subject: asn1.sequence(attribute(type, value)) });
const commonName = (text: string): asn1.Asn1 => attribute(oids.commonName, asn1.utf8String(text));
const usages = (...ids: readonly string[]): asn1.Asn1 =>
  extension(oids.extKeyUsage, asn1.sequence(...ids.map(asn1.oid)));
const bits = (...numbers: readonly number[]): asn1.Asn1 => extension(oids.keyUsage, asn1.namedBits(numbers), true);

/** A valid TBSCertificate with the given changes. */
function tbs({
  extensions = {},
  ...changes
}: Partial<Omit<Parts, 'extensions'>> & { extensions?: Partial<Extensions> }) {
  const parts = {
    version: asn1.explicit(0, asn1.integer(Uint8Array.of(2))),
    serial: asn1.integer(Buffer.concat([Uint8Array.of(0x40), randomBytes(19)])),
    algorithm: asn1.sequence(asn1.oid(oids.ecdsaWithSha256)),
    issuer: asn1.encoded(ca.subject),
    validity: asn1.sequence(asn1.time(later(-minutes(5))), asn1.time(later(hours(1)))),
    subject: asn1.sequence(commonName('payments')),
    key: p256,
    more: [],
    ...changes,
  };
  const all: Extensions = {
    basicConstraints: extension(oids.basicConstraints, asn1.sequence(), true),
    keyUsage: bits(0),
    extKeyUsage: usages(oids.serverAuth),
    subjectKeyIdentifier: extension(oids.subjectKeyIdentifier, asn1.octetString(keyIdOf(parts.key))),
    authorityKeyIdentifier: extension(
      oids.authorityKeyIdentifier,
      asn1.sequence(asn1.implicit(0, Buffer.from(ca.subjectKeyId ?? '', 'hex'))),
    ),
    subjectAltName: san(dns('payments.shop.svc')),
    other: undefined,
    ...extensions,
  };
  return asn1.encode(
    asn1.sequence(
      parts.version,
      parts.serial,
      parts.algorithm,
      parts.issuer,
      parts.validity,
      parts.subject,
      asn1.encoded(parts.key),
      ...parts.more,
      asn1.explicit(3, asn1.sequence(...Object.values(all).flatMap((node: asn1.Asn1 | undefined) => node ?? []))),
    ),
  );
}

const lint = (
  changes: Parameters<typeof tbs>[0],
  profile: Pick<LeafProfile, 'role' | 'usages'> = { role: 'server' },
  path = pathOf(signer),
): void => lintLeaf(tbs(changes), profile, path);

const rsa2048 = spkiOf(rsaKey(2048));
const keyTypes = { rsa: '1.2.840.113549.1.1.1', ec: '1.2.840.10045.2.1' };
const spki = (algorithm: asn1.Asn1[], key: Buffer): Buffer =>
  asn1.encode(asn1.sequence(asn1.sequence(...algorithm), wide(0x03, Buffer.concat([Uint8Array.of(0), key]))));
/** An element with contents of any length. */
const wide = (tag: number, content: Buffer): asn1.Asn1 => {
  const der = asn1.encode(asn1.octetString(content));
  der[0] = tag;
  return asn1.encoded(der);
};
const rsaKeyOf = (...numbers: asn1.Asn1[]): Buffer =>
  spki([asn1.oid(keyTypes.rsa), asn1.nullValue()], asn1.encode(asn1.sequence(...numbers)));
const rsaNumbers = (modulus: Buffer, exponent: number): Buffer =>
  spki(
    [asn1.oid(keyTypes.rsa), asn1.nullValue()],
    asn1.encode(
      asn1.sequence(asn1.integer(modulus), asn1.integer(Uint8Array.of(exponent >> 16, exponent >> 8, exponent))),
    ),
  );
const modulus = (size: number, last = 1): Buffer => {
  const octets = Buffer.alloc(Math.ceil(size / 8), 0x55);
  octets[0] = 1 << ((size - 1) % 8);
  octets[octets.length - 1] = last;
  return octets;
};
const point = (curve: string, octets: Buffer): Buffer => spki([asn1.oid(keyTypes.ec), asn1.oid(curve)], octets);
const curves = { p256: '1.2.840.10045.3.1.7', p384: '1.3.132.0.34', p521: '1.3.132.0.35', k256: '1.3.132.0.10' };

const ofType = (type: 'ed448' | 'x25519' | 'rsa-pss') =>
  spkiOf(
    type === 'rsa-pss'
      ? generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey
      : type === 'ed448'
        ? generateKeyPairSync('ed448').privateKey
        : generateKeyPairSync('x25519').privateKey,
  );

describe('the lint accepts a certificate', () => {
  const good: Record<string, Parameters<typeof lint>> = {
    'with the usual fields': [{}],
    'with a serial number of 16 octets': [{ serial: asn1.integer(Buffer.alloc(16, 0x7f)) }],
    'without a subject': [
      {
        subject: asn1.sequence(),
        extensions: { subjectAltName: extension(oids.subjectAltName, asn1.sequence(dns('a')), true) },
      },
    ],
    'with every attribute at its upper bound, in characters of four octets': [
      {
        subject: asn1.sequence(
          attribute(oids.country, asn1.printableString('DE')),
          attribute(oids.country, asn1.printableString('JP')),
          attribute(oids.province, asn1.utf8String('𝄞'.repeat(128))),
          attribute(oids.locality, asn1.utf8String('𝄞'.repeat(128))),
          attribute(oids.streetAddress, asn1.utf8String('𝄞'.repeat(128))),
          attribute(oids.postalCode, asn1.utf8String('𝄞'.repeat(40))),
          attribute(oids.organization, asn1.utf8String('𝄞'.repeat(64))),
          attribute(oids.organizationalUnit, asn1.utf8String('𝄞'.repeat(64))),
          commonName('𝄞'.repeat(64)),
          attribute(oids.serialNumber, asn1.printableString('a'.repeat(64))),
        ),
      },
    ],
    'that ends with a GeneralizedTime': [
      { validity: asn1.sequence(asn1.time(now), asn1.time(new Date('2050-01-01T00:00:00Z'))) },
      { role: 'server' },
      [
        { ...ca, notAfter: later(days(36_500)) },
        { ...above.certificate, notAfter: later(days(36_500)) },
      ],
    ],
    'with an RSA key and every key usage of RSA': [
      { key: rsa2048, extensions: { keyUsage: bits(0, 1, 2, 3), extKeyUsage: usages(oids.clientAuth) } },
      { role: 'client', usages: ['contentCommitment', 'dataEncipherment'] },
    ],
    ...Object.fromEntries(
      [3072, 4096, 8192].map((size) => [
        `with an RSA key of ${size} bits`,
        [{ key: rsaNumbers(modulus(size), 65_537) }],
      ]),
    ),
    'with a P-384 key': [
      { key: spkiOf(privateKey({ algorithm: 'ECDSA', size: 384 })), extensions: { keyUsage: bits(0, 4) } },
    ],
    'with a P-521 key': [
      { key: spkiOf(privateKey({ algorithm: 'ECDSA', size: 521 })), extensions: { keyUsage: bits(0, 1) } },
    ],
    'with an Ed25519 key': [{ key: spkiOf(privateKey({ algorithm: 'Ed25519' })) }],
    'for both roles and more usages': [
      { extensions: { extKeyUsage: usages(oids.clientAuth, oids.serverAuth, oids.ipsecIKE) } },
      { role: 'peer', usages: ['ipsecIKE', 'keyAgreement'] },
    ],
    'with every kind of name': [
      {
        extensions: {
          subjectAltName: san(
            dns('*.Example.com'),
            asn1.implicit(7, Buffer.of(10, 0, 0, 1)),
            asn1.implicit(7, Buffer.alloc(16)),
            ...['urn:a', 'https://u@[::1]:1/%aF?b#c', 'file:///a'].map((uri) => asn1.implicit(6, Buffer.from(uri))),
            asn1.implicit(1, Buffer.from("o.p+s'@example.com")),
            asn1.implicitConstructed(0, [asn1.oid('2.999.1'), asn1.explicit(0, asn1.utf8String('日本'))]),
          ),
        },
      },
    ],
    'with a SPIFFE ID among names of other kinds': [
      { extensions: { subjectAltName: san(dns('a'), asn1.implicit(6, Buffer.from('spiffe://a/b')), dns('b')) } },
    ],
  };
  for (const [title, args] of Object.entries(good)) test(title, () => lint(...args));

  test('whose CA has no key identifier, if it names the identifier derived from the key', () => {
    const { subjectKeyId: _, ...certificate } = ca;
    const id = keyIdOf(spkiOf(signer.key));
    const path = [certificate, above.certificate] as const;
    const authorityKeyIdentifier = extension(oids.authorityKeyIdentifier, asn1.sequence(asn1.implicit(0, id)));
    lint({ extensions: { authorityKeyIdentifier } }, { role: 'server' }, path);
    throwsCode('ProfileViolation', () =>
      lint({ extensions: { authorityKeyIdentifier: undefined } }, { role: 'server' }, path),
    );
  });
});

describe('the lint refuses', () => {
  type Row = [title: string, changes: Parameters<typeof tbs>[0], message: RegExp];
  const serials: Row[] = [
    ['zero', { serial: asn1.integer(Uint8Array.of(0)) }, /serial number is positive/],
    ['that is negative', { serial: raw(0x02, Buffer.alloc(20, 0x80)) }, /serial number is positive/],
    [
      'with a needless zero',
      { serial: raw(0x02, Buffer.concat([Buffer.alloc(1), Buffer.alloc(18, 1)])) },
      /is positive/,
    ],
    ['of 21 octets', { serial: asn1.integer(Buffer.alloc(20, 0xff)) }, /16 to 20 octets/],
    ['of 15 octets', { serial: asn1.integer(Buffer.alloc(15, 0x7f)) }, /16 to 20 octets/],
    ['of no octets', { serial: raw(0x02, '') }, /serial number is positive/],
    ['with the wrong type', { serial: asn1.octetString(Buffer.alloc(20, 1)) }, /expected tag 0x2/],
  ];
  const fields: Row[] = [
    ['version 2', { version: asn1.explicit(0, asn1.integer(Uint8Array.of(1))) }, /version is 3/],
    ['no version', { version: asn1.nullValue() }, /version is 3/],
    ['a unique identifier', { more: [asn1.implicit(1, Buffer.of(0, 1))] }, /eight fields/],
    ['another issuer', { issuer: asn1.sequence(commonName('Signer ')) }, /issuer equals the subject of the CA/],
    ["its CA's issuer as issuer", { issuer: asn1.encoded(ca.issuer) }, /issuer equals the subject of the CA/],
    [
      'an issuer in another string type',
      { issuer: asn1.sequence(attribute(oids.commonName, asn1.printableString('Signer'))) },
      /octet by octet/,
    ],
  ];
  const algorithms: Row[] = [
    [
      'a weak signature algorithm',
      { algorithm: asn1.sequence(asn1.oid('1.2.840.10045.4.1')) },
      /signature algorithm matches/,
    ],
    [
      'the signature algorithm of another curve',
      { algorithm: asn1.sequence(asn1.oid(oids.ecdsaWithSha384)) },
      /signature algorithm matches/,
    ],
    [
      'the signature algorithm of another key type',
      { algorithm: asn1.sequence(asn1.oid(oids.sha256WithRsa), asn1.nullValue()) },
      /signature algorithm matches/,
    ],
    [
      'NULL parameters for an ECDSA signature',
      { algorithm: asn1.sequence(asn1.oid(oids.ecdsaWithSha256), asn1.nullValue()) },
      /NULL parameters/,
    ],
  ];
  const during = (begin: asn1.Asn1, end: asn1.Asn1): asn1.Asn1 => asn1.sequence(begin, end);
  const [first, last] = [ca.notBefore, ca.notAfter];
  const utc = (digits: string): asn1.Asn1 => raw(0x17, digits);
  const validities: Row[] = [
    [
      'notAfter before notBefore',
      { validity: during(asn1.time(later(1000)), asn1.time(now)) },
      /notBefore is earlier than notAfter/,
    ],
    [
      'notAfter equal to notBefore',
      { validity: during(asn1.time(now), asn1.time(now)) },
      /notBefore is earlier than notAfter/,
    ],
    [
      "notBefore before its CA's",
      { validity: during(asn1.time(new Date(first.getTime() - 1000)), asn1.time(later(1000))) },
      /every CA above/,
    ],
    [
      "notAfter after its CA's",
      { validity: during(asn1.time(now), asn1.time(new Date(last.getTime() + 1000))) },
      /every CA above/,
    ],
    [
      'GeneralizedTime before 2050',
      { validity: during(raw(0x18, '20260301115500Z'), asn1.time(later(1000))) },
      /is a UTCTime/,
    ],
    [
      'a fraction of a second',
      { validity: during(raw(0x18, '20500301115500.5Z'), asn1.time(later(1000))) },
      /whole seconds/,
    ],
    ['no seconds', { validity: during(utc('2603011155Z'), asn1.time(later(1000))) }, /whole seconds/],
    ['another time zone', { validity: during(utc('260301115500+0000'), asn1.time(later(1000))) }, /in UTC/],
    ['the 30th of February', { validity: during(utc('260230115500Z'), asn1.time(later(1000))) }, /a time is a date/],
    [
      'three times',
      { validity: asn1.sequence(asn1.time(now), asn1.time(later(1)), asn1.time(later(2))) },
      /validity consists of two times/,
    ],
    ['one time', { validity: asn1.sequence(asn1.time(now)) }, /expected tag/],
  ];
  const subjects: Row[] = [
    ...(
      [
        [oids.commonName, 64],
        [oids.organization, 64],
        [oids.organizationalUnit, 64],
        [oids.locality, 128],
        [oids.province, 128],
        [oids.streetAddress, 128],
        [oids.postalCode, 40],
      ] as const
    ).map(
      ([type, most]): Row => [
        `attribute ${type} of ${most + 1} characters`,
        subjectOf(type, asn1.utf8String('a'.repeat(most + 1))),
        /upper bound/,
      ],
    ),
    ['a serial number of 65', subjectOf(oids.serialNumber, asn1.printableString('a'.repeat(65))), /upper bound/],
    ['a country of three letters', subjectOf(oids.country, asn1.printableString('DEU')), /upper bound/],
    ['a country in lower case', subjectOf(oids.country, asn1.printableString('de')), /two capital/],
    ['a country in UTF8String', subjectOf(oids.country, asn1.utf8String('DE')), /string type/],
    ['a common name in PrintableString', subjectOf(oids.commonName, asn1.printableString('a')), /string type/],
    [
      'a character that PrintableString does not have',
      subjectOf(oids.serialNumber, asn1.printableString('a_b')),
      /PrintableString/,
    ],
    ['invalid UTF-8', subjectOf(oids.commonName, raw(0x0c, Buffer.of(0xc3))), /UTF-8/],
    ['a surrogate in UTF-8', subjectOf(oids.commonName, raw(0x0c, Buffer.of(0xed, 0xa0, 0x80))), /UTF-8/],
    ['NUL', { subject: asn1.sequence(commonName('payments\0.evil')) }, /control characters/],
    ['a control character of two octets', { subject: asn1.sequence(commonName('a\u0085')) }, /control characters/],
    ['a line break', { subject: asn1.sequence(commonName('a\nb')) }, /control characters/],
    ['an empty attribute', { subject: asn1.sequence(commonName('')) }, /not empty/],
    ['two common names', { subject: asn1.sequence(commonName('a'), commonName('b')) }, /one common name/],
    [
      'two attributes in a set',
      {
        subject: asn1.sequence(
          asn1.setOf(
            asn1.sequence(asn1.oid(oids.commonName), asn1.utf8String('a')),
            asn1.sequence(asn1.oid(oids.organization), asn1.utf8String('b')),
          ),
        ),
      },
      /each RDN/,
    ],
    [
      'an attribute outside the profile',
      { subject: asn1.sequence(attribute('1.2.840.113549.1.9.1', raw(0x16, 'a@b'))) },
      /attributes of the profile/,
    ],
    [
      'an attribute of three parts',
      {
        subject: asn1.sequence(
          asn1.setOf(asn1.sequence(asn1.oid(oids.commonName), asn1.utf8String('a'), asn1.nullValue())),
        ),
      },
      /string type/,
    ],
  ];
  const key = (octets: Buffer) => ({ key: octets });
  const keys: Row[] = [
    ['an RSA key of 1024 bits', key(spkiOf(rsaKey(1024))), /2048, 3072, 4096 or 8192/],
    ['an RSA key of 2056 bits', key(rsaNumbers(modulus(2056), 65_537)), /2048, 3072, 4096 or 8192/],
    ['an RSA key of 2047 bits', key(rsaNumbers(modulus(2047), 65_537)), /2048, 3072, 4096 or 8192/],
    ['an RSA key with exponent 3', key(rsaNumbers(modulus(2048), 3)), /exponent/],
    ['an RSA key with an even exponent', key(rsaNumbers(modulus(2048), 65_538)), /exponent/],
    ['an RSA key with an even modulus', key(rsaNumbers(modulus(2048, 2), 65_537)), /modulus/],
    [
      'an RSA key without parameters',
      key(spki([asn1.oid(keyTypes.rsa)], Buffer.from(rsa2048.subarray(24)))),
      /NULL parameters/,
    ],
    ['an RSA-PSS key', key(ofType('rsa-pss')), /RSA, ECDSA or Ed25519/],
    ['an Ed448 key', key(ofType('ed448')), /RSA, ECDSA or Ed25519/],
    ['an X25519 key', key(ofType('x25519')), /RSA, ECDSA or Ed25519/],
    ['a key on another curve', key(spkiOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey)), /curve/],
    [
      'explicit curve parameters',
      key(spki([asn1.oid(keyTypes.ec), asn1.sequence()], Buffer.alloc(65, 4))),
      /names its curve/,
    ],
    ['a compressed point', key(point(curves.p256, Buffer.alloc(33, 2))), /uncompressed/],
    ['a point of the wrong length', key(point(curves.p384, Buffer.alloc(65, 4))), /full length/],
    [
      'a point of full length that is marked as compressed',
      key(point(curves.p256, Buffer.alloc(65, 2))),
      /uncompressed/,
    ],
    [
      'an Ed25519 key with NULL',
      key(spki([asn1.oid('1.3.101.112'), asn1.nullValue()], Buffer.alloc(32))),
      /no parameters/,
    ],
    [
      'a key whose algorithm has three parts',
      key(spki([asn1.oid(keyTypes.ec), asn1.oid(curves.p256), asn1.nullValue()], Buffer.alloc(65, 4))),
      /an identifier and its parameters/,
    ],
    [
      'an RSA key of three numbers',
      key(rsaKeyOf(asn1.integer(modulus(2048)), asn1.integer(Buffer.of(1, 0, 1)), asn1.integer(Buffer.of(3)))),
      /two positive numbers/,
    ],
    [
      'an RSA key with a negative modulus',
      key(rsaKeyOf(wide(0x02, Buffer.alloc(256, 0x81)), asn1.integer(Buffer.of(1, 0, 1)))),
      /two positive numbers/,
    ],
    [
      'an RSA key with a needless zero',
      key(rsaKeyOf(asn1.integer(modulus(2048)), raw(0x02, Buffer.of(0, 1, 0, 1)))),
      /two positive numbers/,
    ],
    [
      'an RSA key with an exponent of 32 bits',
      key(rsaKeyOf(asn1.integer(modulus(2048)), asn1.integer(Buffer.of(0x80, 0, 0, 1)))),
      /exponent/,
    ],
    [
      'an RSA key with an exponent of 40 bits',
      key(rsaKeyOf(asn1.integer(modulus(2048)), asn1.integer(Buffer.of(1, 0, 0, 0, 1)))),
      /exponent/,
    ],
    ['an Ed25519 key of 31 octets', key(spki([asn1.oid('1.3.101.112')], Buffer.alloc(31))), /32 octets/],
    [
      'a key with unused bits',
      key(asn1.encode(asn1.sequence(asn1.sequence(asn1.oid('1.3.101.112')), raw(0x03, Buffer.alloc(33, 1))))),
      /whole octets/,
    ],
  ];
  const withExtensions = (extensions: Partial<Extensions>) => ({ extensions });
  const names = Object.keys({
    basicConstraints: 0,
    keyUsage: 0,
    extKeyUsage: 0,
    subjectKeyIdentifier: 0,
    authorityKeyIdentifier: 0,
    subjectAltName: 0,
  } satisfies Record<Exclude<keyof Extensions, 'other'>, 0>) as Exclude<keyof Extensions, 'other'>[];
  const values: Record<(typeof names)[number], asn1.Asn1> = {
    basicConstraints: asn1.sequence(),
    keyUsage: asn1.namedBits([0]),
    extKeyUsage: asn1.sequence(asn1.oid(oids.serverAuth)),
    subjectKeyIdentifier: asn1.octetString(keyIdOf(p256)),
    authorityKeyIdentifier: asn1.sequence(asn1.implicit(0, Buffer.from(ca.subjectKeyId ?? '', 'hex'))),
    subjectAltName: asn1.sequence(dns('payments.shop.svc')),
  };
  const [usageId, usage] = [asn1.oid(oids.extKeyUsage), asn1.octetString(asn1.encode(values.extKeyUsage))];
  const isCritical = (name: string): boolean => name === 'basicConstraints' || name === 'keyUsage';
  const extensions: Row[] = [
    ...names.flatMap((name): Row[] => [
      [`no ${name}`, withExtensions({ [name]: undefined }), /every extension of the profile/],
      [
        `${name} twice`,
        withExtensions({ other: extension(oids[name], values[name], isCritical(name)) }),
        /no extension is repeated/,
      ],
      [
        `${name} ${isCritical(name) ? 'not ' : ''}critical`,
        withExtensions({ [name]: extension(oids[name], values[name], !isCritical(name)) }),
        new RegExp(`${name} is ${isCritical(name) ? '' : 'not '}critical`),
      ],
    ]),
    [
      'another extension',
      withExtensions({ other: extension(oids.certificatePolicies, asn1.sequence()) }),
      /only extensions of the profile/,
    ],
    [
      'name constraints',
      withExtensions({ other: extension(oids.nameConstraints, asn1.sequence(), true) }),
      /only extensions of the profile/,
    ],
    [
      'critical encoded as FALSE',
      withExtensions({ extKeyUsage: asn1.sequence(usageId, asn1.boolean(false), usage) }),
      /critical is TRUE or absent/,
    ],
    [
      'an extension of four parts',
      withExtensions({ extKeyUsage: asn1.sequence(usageId, asn1.boolean(true), usage, asn1.nullValue()) }),
      /critical is TRUE or absent/,
    ],
    [
      'alternative names that are not critical without a subject',
      { subject: asn1.sequence() },
      /subjectAltName is critical/,
    ],
    [
      'cA',
      withExtensions({ basicConstraints: extension(oids.basicConstraints, asn1.sequence(asn1.boolean(true)), true) }),
      /not a CA/,
    ],
    [
      'cA encoded as FALSE',
      withExtensions({ basicConstraints: extension(oids.basicConstraints, asn1.sequence(asn1.boolean(false)), true) }),
      /not a CA/,
    ],
    [
      'a path length',
      withExtensions({
        basicConstraints: extension(oids.basicConstraints, asn1.sequence(asn1.integer(Uint8Array.of(0))), true),
      }),
      /not a CA/,
    ],
    ...[2, 3, 5, 6, 7].map(
      (bit): Row => [
        `key usage ${bit} of an ECDSA key`,
        withExtensions({ keyUsage: bits(0, bit) }),
        /only usages that a leaf/,
      ],
    ),
    ...[4, 5, 6, 7].map(
      (bit): Row => [
        `key usage ${bit} of an RSA key`,
        { key: rsa2048, ...withExtensions({ keyUsage: bits(0, bit) }) },
        /only usages that a leaf/,
      ],
    ),
    ['key usage decipherOnly', withExtensions({ keyUsage: bits(0, 4, 8) }), /not empty and is in DER/],
    ['no digitalSignature', withExtensions({ keyUsage: bits(1) }), /keyUsage includes digitalSignature/],
    [
      'key usage with trailing zeros',
      withExtensions({ keyUsage: extension(oids.keyUsage, raw(0x03, Buffer.of(6, 0x80)), true) }),
      /not empty and is in DER/,
    ],
    [
      'key usage without bits',
      withExtensions({ keyUsage: extension(oids.keyUsage, raw(0x03, Buffer.of(0)), true) }),
      /not empty and is in DER/,
    ],
    [
      'key usage of zeros',
      withExtensions({ keyUsage: extension(oids.keyUsage, raw(0x03, Buffer.of(0, 0)), true) }),
      /not empty and is in DER/,
    ],
    [
      'a wrong subject key identifier',
      withExtensions({
        subjectKeyIdentifier: extension(oids.subjectKeyIdentifier, asn1.octetString(Buffer.alloc(20))),
      }),
      /derived from the key/,
    ],
    [
      'the key identifier of another authority',
      withExtensions({
        authorityKeyIdentifier: extension(oids.authorityKeyIdentifier, asn1.sequence(asn1.implicit(0, keyIdOf(p256)))),
      }),
      /only the key identifier of the CA/,
    ],
    [
      'no authority key identifier in the extension',
      withExtensions({ authorityKeyIdentifier: extension(oids.authorityKeyIdentifier, asn1.sequence()) }),
      /only the key identifier of the CA/,
    ],
    [
      'a serial number next to the authority key identifier',
      withExtensions({
        authorityKeyIdentifier: extension(
          oids.authorityKeyIdentifier,
          asn1.sequence(asn1.implicit(0, Buffer.from(ca.subjectKeyId ?? '', 'hex')), asn1.implicit(2, Buffer.of(1))),
        ),
      }),
      /only the key identifier of the CA/,
    ],
  ];
  const extendedUsages: Row[] = [
    ['the other role', withExtensions({ extKeyUsage: usages(oids.clientAuth) }), /usages of the role/],
    ['both roles', withExtensions({ extKeyUsage: usages(oids.serverAuth, oids.clientAuth) }), /usages of the role/],
    ['no role', withExtensions({ extKeyUsage: extension(oids.extKeyUsage, asn1.sequence()) }), /usages of the role/],
    ['a role twice', withExtensions({ extKeyUsage: usages(oids.serverAuth, oids.serverAuth) }), /usages of the role/],
    ...['2.5.29.37.0', '1.3.6.1.5.5.7.3.9', '1.3.6.1.5.5.7.3.8', oids.codeSigning, oids.emailProtection].map(
      (id): Row => [`usage ${id}`, withExtensions({ extKeyUsage: usages(oids.serverAuth, id) }), /usages of the role/],
    ),
  ];
  const alternative = (title: string, name: asn1.Asn1, message: RegExp): Row => [
    title,
    withExtensions({ subjectAltName: san(name) }),
    message,
  ];
  const uri = (text: string): asn1.Asn1 => asn1.implicit(6, Buffer.from(text));
  const spiffeId = uri('spiffe://a/b');
  const sanNames: Row[] = [
    ['no alternative name', withExtensions({ subjectAltName: san() }), /at least one/],
    ['a name twice', withExtensions({ subjectAltName: san(dns('a'), dns('b'), dns('a')) }), /is repeated/],
    ['a SPIFFE ID and a URI', withExtensions({ subjectAltName: san(spiffeId, uri('urn:a')) }), /has no other URI/],
    ['a URI and a SPIFFE ID', withExtensions({ subjectAltName: san(uri('urn:a'), spiffeId) }), /has no other URI/],
    ['two SPIFFE IDs', withExtensions({ subjectAltName: san(spiffeId, uri('SPIFFE://a/c')) }), /has no other URI/],
    ...[
      '',
      '.',
      'a.',
      '.a',
      'a..b',
      '*',
      '*.',
      'a.*',
      '*a.b',
      '*.*.a',
      '-a',
      'a-',
      'a_b',
      'a b',
      'a\0',
      'münchen',
      'a:1',
      '10.0.0.1',
      '0x7f000001',
      '127.0X1',
      'a.0x',
      `${'a'.repeat(64)}.b`,
      `${'a.'.repeat(127)}b`,
    ].map((name) => alternative(`the DNS name ${JSON.stringify(name)}`, dns(name), /dNSName/)),
    ...[
      '',
      'a',
      '/a',
      '//a/b',
      ':a',
      'a:',
      '1a:b',
      'https://a b',
      'https://a/\0',
      'https://münchen/',
      'https://a/%zz',
      'https://a..b/',
      'https://a./',
      'https://a:b/',
      'https://a:65536',
      'https://[::1',
      'https://[a]/',
      'https://a@b@c/',
      'https://0x7f000001/',
      'https://a@127.1:443',
    ].map((uri) =>
      alternative(`the URI ${JSON.stringify(uri)}`, asn1.implicit(6, Buffer.from(uri, 'latin1')), /a URI is/),
    ),
    ...[
      '',
      'a',
      '@a',
      'a@',
      'a@b@c',
      '.a@b',
      'a.@b',
      'a..b@c',
      '"a"@b',
      'a b@c',
      'a@*.b',
      'a@b.',
      'a@[10.0.0.1]',
      'a@10.0.0.1',
      'a@127.0x1',
      '\u00fc@a',
    ].map((mailbox) =>
      alternative(
        `the mailbox ${JSON.stringify(mailbox)}`,
        asn1.implicit(1, Buffer.from(mailbox, 'latin1')),
        /rfc822Name/,
      ),
    ),
    ...[0, 3, 5, 8, 15, 17, 32].map((length) =>
      alternative(`an address of ${length} octets`, asn1.implicit(7, Buffer.alloc(length)), /iPAddress/),
    ),
    alternative(
      'a directoryName',
      asn1.implicitConstructed(4, [asn1.sequence(commonName('a'))]),
      /type of the profile/,
    ),
    alternative('a registeredID', asn1.implicit(8, Buffer.of(0x2a, 3)), /type of the profile/),
    alternative('an x400Address', asn1.implicitConstructed(3, [asn1.sequence()]), /type of the profile/),
    alternative('an otherName without a value', asn1.implicitConstructed(0, [asn1.oid('1.2.3')]), /a type and a value/),
    alternative(
      'an otherName of three parts',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.explicit(0, asn1.utf8String('a')), asn1.nullValue()]),
      /a type and a value/,
    ),
    alternative(
      'an otherName whose value is not explicit',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.utf8String('a')]),
      /a type and a value/,
    ),
    alternative(
      'an otherName in another string type',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.explicit(0, asn1.printableString('a'))]),
      /expected tag 0xc/,
    ),
    alternative(
      'an otherName without a type',
      asn1.implicitConstructed(0, [asn1.nullValue(), asn1.explicit(0, asn1.utf8String('a'))]),
      /expected tag 0x6/,
    ),
    alternative(
      'an otherName that is empty',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.explicit(0, asn1.utf8String(''))]),
      /not empty/,
    ),
    alternative(
      'an otherName with NUL',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.explicit(0, asn1.utf8String('a\0b'))]),
      /control characters/,
    ),
    alternative(
      'an otherName that is not UTF-8',
      asn1.implicitConstructed(0, [asn1.oid('1.2.3'), asn1.explicit(0, raw(0x0c, Buffer.of(0xff)))]),
      /UTF-8/,
    ),
  ];
  const groups = {
    'a serial number': serials,
    'a certificate with': [...fields, ...algorithms],
    'a validity with': validities,
    'a subject with': subjects,
    'a key:': keys,
    'extensions:': extensions,
    'an extended usage:': extendedUsages,
    'a name:': sanNames,
  };
  for (const [group, rows] of Object.entries(groups)) {
    for (const [title, changes, message] of rows) {
      test(`${group} ${title}`, () => throwsCode('ProfileViolation', () => lint(changes), message));
    }
  }

  test('a certificate that outlives a higher CA', () => {
    const brief = root({ at: later(-days(1)), durationMs: days(2) });
    const path = [ca, brief.certificate] as const;
    const validity = asn1.sequence(asn1.time(now), asn1.time(later(days(3))));
    throwsCode('ProfileViolation', () => lint({ validity }, { role: 'server' }, path), /every CA above/);
  });

  test('a certificate without all usages of its role and request', () => {
    throwsCode('ProfileViolation', () => lint({}, { role: 'peer' }), /usages of the role/);
    throwsCode('ProfileViolation', () => lint({}, { role: 'server', usages: ['ipsecIKE'] }), /usages of the role/);
  });

  test('an RSA signature algorithm without NULL, or of the wrong strength for the key', () => {
    const issuer = root({ key: { algorithm: 'RSA', size: 2048 } });
    const changes = {
      issuer: asn1.encoded(issuer.certificate.subject),
      extensions: {
        authorityKeyIdentifier: extension(
          oids.authorityKeyIdentifier,
          asn1.sequence(asn1.implicit(0, Buffer.from(issuer.certificate.subjectKeyId ?? '', 'hex'))),
        ),
      },
    };
    const signedWith = (...algorithm: asn1.Asn1[]) =>
      lint({ ...changes, algorithm: asn1.sequence(...algorithm) }, { role: 'server' }, pathOf(issuer));
    signedWith(asn1.oid(oids.sha256WithRsa), asn1.nullValue());
    throwsCode('ProfileViolation', () => signedWith(asn1.oid(oids.sha256WithRsa)), /NULL parameters/);
    throwsCode(
      'ProfileViolation',
      () => signedWith(asn1.oid('1.2.840.113549.1.1.5'), asn1.nullValue()),
      /algorithm matches/,
    );
    throwsCode(
      'ProfileViolation',
      () => signedWith(asn1.oid('1.2.840.113549.1.1.10'), asn1.nullValue()),
      /algorithm matches/,
    );
  });

  test('most random changes, and throws no error but ProfileViolation', () => {
    const good = tbs({});
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.constantFrom('change', 'cut', 'put'), (at, octet, how) => {
        const rest = how === 'put' ? good.subarray(at) : good.subarray(at + 1);
        const bad = Buffer.concat([good.subarray(0, at), how === 'cut' ? Buffer.alloc(0) : Buffer.of(octet), rest]);
        try {
          lintLeaf(bad, { role: 'server' }, pathOf(signer));
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ProfileViolation', String(error));
          refused += 1;
        }
      }),
      { numRuns: 2000 },
    );
    assert.ok(refused > 1200, `${refused} were refused`);
  });
});

describe('a prepared leaf', () => {
  const rsa = privateKey({ algorithm: 'RSA', size: 2048 });
  const holders: KeyObject[] = [
    privateKey(),
    privateKey({ algorithm: 'ECDSA', size: 521 }),
    privateKey({ algorithm: 'Ed25519' }),
    rsa,
  ];
  const signers: Issuer[] = [
    signer,
    root({ key: { algorithm: 'Ed25519' } }),
    root({ key: { algorithm: 'RSA', size: 2048 } }),
  ];
  const none = altNames();
  const text = (maxLength: number) =>
    fc.string({ unit: fc.constantFrom('a', 'Z', ' ', 'é', '日', '𝄞', ',', '=', '/'), minLength: 1, maxLength });

  test('passes the lint for every signer and profile', () => {
    const profiles = fc.record({
      role: fc.constantFrom<Role>('server', 'client', 'peer'),
      subject: fc.record(
        {
          commonName: text(64),
          organizations: fc.array(text(64), { maxLength: 3 }),
          localities: fc.array(text(128), { maxLength: 3 }),
          postalCodes: fc.array(text(40), { maxLength: 2 }),
          countries: fc.array(fc.constantFrom('DE', 'JP'), { maxLength: 2 }),
        },
        { requiredKeys: [] },
      ),
      names: fc.record({
        dnsNames: fc.uniqueArray(fc.domain(), { maxLength: 4 }),
        ipAddresses: fc.uniqueArray(fc.ipV4(), { maxLength: 3 }),
        uris: fc.uniqueArray(
          fc.webPath().map((path) => `https://example.org${path}?`),
          { maxLength: 3 },
        ),
        otherNames: fc.uniqueArray(
          text(1024).map((utf8Value) => ({ oid: '2.999.1', utf8Value })),
          { maxLength: 3, selector: ({ utf8Value }) => utf8Value },
        ),
      }),
      usages: fc.subarray(['codeSigning' as const, 'ipsecIKE' as const, 'contentCommitment' as const]),
      durationMs: fc.integer({ min: minutes(5), max: days(4000) }),
    });
    fc.assert(
      fc.property(profiles, fc.nat(), ({ names, ...profile }, pick) => {
        const holder = holders[pick % holders.length] ?? rsa;
        const issuer = signers[pick % signers.length] ?? signer;
        const requested = { ...profile, names: { ...none, ...names, emailAddresses: ['a@example.com'] } };
        prepareLeaf(requested, createPublicKey(holder), issuer, { now, serialSeed: randomBytes(20) });
      }),
      { numRuns: 500 },
    );
  });

  test('is refused with a kind of key that no leaf may have', () => {
    const kinds: KeyObject[] = [
      rsaKey(1024),
      rsaKey(2048, 3),
      generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
      generateKeyPairSync('ec', { namedCurve: 'P-224' }).privateKey,
      generateKeyPairSync('ed448').privateKey,
      generateKeyPairSync('x25519').privateKey,
      generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey,
    ];
    const profile: LeafProfile = {
      role: 'server',
      subject: {},
      names: { ...none, dnsNames: ['a'] },
      durationMs: hours(1),
    };
    for (const key of kinds) {
      const prepare = () => prepareLeaf(profile, createPublicKey(key), signer, { now, serialSeed: randomBytes(20) });
      throwsCode('ProfileViolation', prepare);
    }
  });
});
