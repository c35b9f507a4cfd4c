import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expectTag, readAll, readOid, readOnly, tags } from '../../../../src/pki/asn1/der.ts';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import { encodeIpAddress, encodeSubject, type Subject, type SubjectAltNames } from '../../../../src/pki/index.ts';
import { encodeSubjectAltNames } from '../../../../src/pki/x509/distinguished-name.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { privateKey, root } from '../../../support/fixtures/roots.ts';
import { hours, now } from '../../../support/fixtures/times.ts';
import { openssl, opensslRoot } from '../../../support/openssl.ts';
import * as fc from '../../../support/properties.ts';
import { issueLeafNow } from '../../../support/sign.ts';
import { throwsCode } from '../expect.ts';

const none = altNames();
const signer = root();

/** PEM of a leaf with these names. */
function leafWith(subject: Subject, names: Partial<SubjectAltNames>): string {
  const profile = { role: 'server', subject, names: { ...none, ...names }, durationMs: hours(1) } as const;
  const context = { now, serialSeed: Buffer.alloc(20, 1) };
  return encodePem('CERTIFICATE', issueLeafNow(profile, privateKey(), signer, context).der);
}

const namesOf = (names: Partial<SubjectAltNames>): string =>
  openssl(['x509', '-noout', '-ext', 'subjectAltName'], leafWith({ commonName: 'x' }, names))
    .split('\n')
    .slice(1)
    .join('\n')
    .trim();

describe('an IP address', () => {
  const addresses: [text: string, octets: string][] = [
    ['10.1.2.3', '0a010203'],
    ['255.255.255.255', 'ffffffff'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['1::', `0001${'0'.repeat(28)}`],
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['2001:DB8:0:0:0:0:0:1', '20010db8000000000000000000000001'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '20010db8000000000000000000000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1:0:0:4:5:0:0:8', '00010000000000040005000000000008'],
    ['::ffff:10.1.2.3', '00000000000000000000ffff0a010203'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ['fe80::1:0:0:0', 'fe800000000000000001000000000000'],
  ];
  for (const [text, octets] of addresses) {
    test(`${text} has the octets ${octets}`, () => assert.equal(encodeIpAddress(text).toString('hex'), octets));
  }

  test('has the same octets as in openssl, in every text form', () => {
    // One form of each address, because a certificate has no duplicate names.
    const written = [...new Map(addresses.map(([text, octets]) => [octets, text])).values()];
    const ours = openssl(['x509', '-noout', '-ext', 'subjectAltName'], leafWith({}, { ipAddresses: written }));
    const names = written.map((text) => `IP:${text}`).join(',');
    const { crt } = opensslRoot({ extensions: [`subjectAltName = ${names}`] });
    const theirs = openssl(['x509', '-noout', '-ext', 'subjectAltName'], crt);
    assert.equal(ours.split('\n')[1], theirs.split('\n')[1]);
  });

  test('has the same octets in its shortest and longest form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (octets) => {
        const groups = (Buffer.from(octets).toString('hex').match(/.{4}/g) ?? []).join(':');
        const shortest = new URL(`http://[${groups}]`).hostname.slice(1, -1);
        assert.deepEqual(
          [encodeIpAddress(groups), encodeIpAddress(shortest)],
          [Buffer.from(octets), Buffer.from(octets)],
        );
      }),
    );
  });

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    'fe80::1%eth0',
    ':::',
    '1:2',
    'host',
    ' 1.2.3.4',
    '[::1]',
  ]) {
    test(`is refused when it is ${JSON.stringify(text)}`, () => throwsCode('InvalidName', () => encodeIpAddress(text)));
  }
});

describe('openssl reads an alternative name as written', () => {
  const cases: [title: string, names: Partial<SubjectAltNames>, text: string][] = [
    ['DNS', { dnsNames: ['a.shop.svc', '*.shop.svc'] }, 'DNS:a.shop.svc, DNS:*.shop.svc'],
    ['URI', { uris: ['spiffe://cluster.local/ns/shop/sa/a'] }, 'URI:spiffe://cluster.local/ns/shop/sa/a'],
    ['e-mail', { emailAddresses: ['a@example.com'] }, 'email:a@example.com'],
    ['IP', { ipAddresses: ['10.0.0.1', '2001:db8::1'] }, 'IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1'],
    [
      'otherName',
      { otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'jörg@example.com' }] },
      'othername: UPN::jörg@example.com',
    ],
    [
      'otherName with characters of two, three and four octets',
      { otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'é日𝄞@example.com' }] },
      'othername: UPN::é日𝄞@example.com',
    ],
  ];
  for (const [title, names, text] of cases) test(title, () => assert.equal(namesOf(names), text));

  test('otherName of any length', () => {
    for (const utf8Value of ['a', '日'.repeat(341), '日'.repeat(1024), ` ${'𝄞'.repeat(50)}, DNS:a`.trim()]) {
      const name = { oid: '2.999.123456789', utf8Value };
      const [only] = readAll(readOnly(encodeSubjectAltNames({ ...none, otherNames: [name] }), tags.sequence).content);
      const [type, value] = readAll(expectTag(only, 0xa0).content);
      const text = readOnly(expectTag(value, 0xa0).content, 0x0c).content;
      assert.deepEqual([readOid(type), text.toString()], [name.oid, utf8Value]);
    }
  });

  for (const oid of ['', '1', '1.40', '3.1', '1.2.', '1.02', '1.2.4294967299', '1.2.x', ' 1.2']) {
    test(`but refuses to write an otherName of type ${JSON.stringify(oid)}`, () => {
      throwsCode('InvalidName', () => encodeSubjectAltNames({ ...none, otherNames: [{ oid, utf8Value: 'a' }] }));
    });
  }

  for (const name of ['', 'a b', 'münchen', 'a\0b', 'a\nb', 'a\u212a']) {
    test(`but refuses to write ${JSON.stringify(name)}, which is not printable ASCII`, () => {
      throwsCode('InvalidName', () => encodeSubjectAltNames({ ...none, dnsNames: [name] }));
      throwsCode('InvalidName', () => encodeSubjectAltNames({ ...none, uris: [name] }));
      throwsCode('InvalidName', () => encodeSubjectAltNames({ ...none, emailAddresses: [name] }));
    });
  }
});

describe('a subject', () => {
  const subject: Subject = {
    commonName: 'zażółć 🔑',
    organizations: ['Münchner Börse', 'Second'],
    organizationalUnits: ['日本'],
    countries: ['DE', 'JP'],
    provinces: ['Bayern'],
    localities: ['München'],
    streetAddresses: ['Allee 1'],
    postalCodes: ['80331'],
    serialNumber: 'A-1',
  };

  test('keeps every attribute in UTF-8, from the country down', () => {
    const text = openssl(
      ['x509', '-noout', '-subject', '-nameopt', 'utf8,sep_multiline,sname'],
      leafWith(subject, { dnsNames: ['a'] }),
    );
    assert.deepEqual(text.trim().split(/\n\s*/).slice(1), [
      'C=DE',
      'C=JP',
      'ST=Bayern',
      'L=München',
      'street=Allee 1',
      'postalCode=80331',
      'O=Münchner Börse',
      'O=Second',
      'OU=日本',
      'CN=zażółć 🔑',
      'serialNumber=A-1',
    ]);
  });

  test('has PrintableString where X.520 requires it, and UTF8String elsewhere', () => {
    const types = openssl(['asn1parse', '-inform', 'DER'], encodeSubject(subject)).match(/PRINTABLESTRING|UTF8STRING/g);
    const [printable, utf8] = ['PRINTABLESTRING', 'UTF8STRING'];
    assert.deepEqual(types, [printable, printable, ...Array.from({ length: 8 }, () => utf8), printable]);
  });

  test('may be empty', () => assert.equal(encodeSubject({}).toString('hex'), '3000'));
});
