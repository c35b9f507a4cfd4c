import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import {
  type CrlContent,
  encodeCrls,
  type Issuer,
  isCrlOf,
  type KeySpec,
  maySignCrls,
  namesIssuer,
  parseCertificates,
  parseCrls,
} from '../../../../src/pki/index.ts';
import { intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';
import { openssl, opensslFile, opensslRoot, scratchFile } from '../../../support/openssl.ts';
import * as fc from '../../../support/properties.ts';
import { issueCrl, withSigner } from '../../../support/sign.ts';
import { throwsCode } from '../expect.ts';

const issuer = root();
const content = (changes: Partial<CrlContent> = {}): CrlContent => ({
  number: 1n,
  thisUpdate: now,
  nextUpdate: later(days(7)),
  revoked: [],
  ...changes,
});
const revoked = (serialNumber: string, revokedAt = now) => ({ serialNumber, revokedAt });

describe('a CRL', () => {
  const serials = fc.bigInt({ min: 0n, max: 2n ** 159n - 1n }).map((serial) => {
    const digits = serial.toString(16);
    return digits.padStart(digits.length + (digits.length % 2), '0');
  });
  const moments = fc.integer({ min: -631_152_000, max: 253_402_300_799 }).map((seconds) => new Date(seconds * 1000));

  test('is read back as it was written', () => {
    const contents = fc.record({
      number: fc.bigInt({ min: 0n, max: 2n ** 159n - 1n }),
      thisUpdate: moments,
      nextUpdate: moments,
      revoked: fc.uniqueArray(fc.record({ serialNumber: serials, revokedAt: moments }, { noNullPrototype: true }), {
        selector: ({ serialNumber }) => serialNumber,
        maxLength: 8,
      }),
    });
    fc.assert(
      fc.property(contents, (given) => {
        fc.pre(given.thisUpdate < given.nextUpdate);
        const crl = issueCrl(issuer, given);
        assert.deepEqual(parseCrls(encodeCrls([crl])), [crl]);
        const sorted = [...given.revoked].sort((a, b) =>
          BigInt(`0x${a.serialNumber}`) < BigInt(`0x${b.serialNumber}`) ? -1 : 1,
        );
        const { number, thisUpdate, nextUpdate } = crl;
        assert.deepEqual({ number, thisUpdate, nextUpdate, revoked: crl.revoked }, { ...given, revoked: sorted });
        assert.ok(crl.issuer.equals(issuer.certificate.subject));
        assert.equal(crl.authorityKeyId, issuer.certificate.subjectKeyId);
      }),
      { numRuns: 200, seed: 20_261_125 },
    );
  });

  test('does not depend on the order of entries, and keeps the earliest date of duplicates', () => {
    const ed25519 = root({ key: { algorithm: 'Ed25519' } });
    const all = [revoked('7f'), revoked('02', later(1)), revoked('0102'), revoked('02', later(1000)), revoked('0002')];
    const crl = issueCrl(ed25519, content({ revoked: all }));
    assert.deepEqual(
      crl.revoked.map(({ serialNumber, revokedAt }) => [serialNumber, revokedAt]),
      [
        ['02', now],
        ['7f', now],
        ['0102', now],
      ],
    );
    const again = issueCrl(ed25519, content({ revoked: all.toReversed() }));
    assert.deepEqual(again.der, crl.der);
  });

  test('of an intermediate has its name, and no list when nothing is revoked', () => {
    const below = intermediate(issuer);
    const crl = issueCrl(below, content());
    assert.equal(asn1.readAll(asn1.readOnly(crl.tbs, asn1.tags.sequence).content).length, 6);
    assert.ok(crl.issuer.equals(below.certificate.subject));
    assert.equal(isCrlOf(crl, below.certificate), true);
  });

  test('names an issuer without a key identifier in the same way as a leaf', () => {
    const { subjectKeyId: _, ...certificate } = issuer.certificate;
    const crl = issueCrl({ ...issuer, certificate }, content());
    assert.equal(crl.authorityKeyId, issuer.certificate.subjectKeyId);
  });

  test('of 5,000 certificates has 53 bytes of PEM for each, and fits', (t) => {
    const many = Array.from({ length: 5000 }, () => {
      const serial = randomBytes(20);
      serial[0] = 0x40;
      return revoked(serial.toString('hex'));
    });
    const started = process.cpuUsage();
    const crl = issueCrl(issuer, content({ revoked: many }));
    const issued = process.cpuUsage(started);
    const pem = encodeCrls([crl]);
    const parsing = process.cpuUsage();
    const [read] = parseCrls(pem);
    const parsed = process.cpuUsage(parsing);
    assert.deepEqual(read?.revoked, crl.revoked);
    assert.equal(read?.revoked.length, 5000);
    const bytes = (pem.length - encodeCrls([issueCrl(issuer, content())]).length) / 5000;
    assert.ok(bytes < 53 && pem.length < 270_000, `${bytes} bytes for each`);
    const ms = (used: NodeJS.CpuUsage): number => Math.round((used.user + used.system) / 1000);
    t.diagnostic(`${bytes} bytes for each; ${ms(issued)} ms of CPU to sign, ${ms(parsed)} ms to read`);
  });

  const refused: [title: string, changes: Partial<CrlContent>][] = [
    ['a negative number', { number: -1n }],
    ['a number of more than 20 octets', { number: 2n ** 159n }],
    ['an invalid serial number', { revoked: [revoked('xyz')] }],
    ['a serial number in upper case', { revoked: [revoked('AB')] }],
    ['an empty serial number', { revoked: [revoked('')] }],
    ['a serial number of more than 20 octets', { revoked: [revoked('01'.repeat(21))] }],
    ['a serial number that needs 21 octets', { revoked: [revoked('ff'.repeat(20))] }],
    ['nextUpdate equal to thisUpdate', { nextUpdate: now }],
    ['nextUpdate before thisUpdate', { nextUpdate: later(-1) }],
    ['an invalid date', { revoked: [revoked('01', new Date(Number.NaN))] }],
    ['an invalid thisUpdate', { thisUpdate: new Date(Number.NaN) }],
    ['a date before 1950', { revoked: [revoked('01', new Date('1949-12-31T23:59:59Z'))] }],
    ['nextUpdate after 9999', { nextUpdate: new Date('+010000-01-01T00:00:00Z') }],
  ];
  for (const [title, changes] of refused) {
    test(`is refused with ${title}`, () => throwsCode('InvalidRequest', () => issueCrl(issuer, content(changes))));
  }

  test('is refused when another key signed it', () => {
    throwsCode('VerificationFailed', () => issueCrl(withSigner({ ...issuer, key: privateKey() }), content()));
  });

  test('is not signed by a CA whose key usage excludes CRLs', () => {
    const brought = (keyUsage: readonly string[]): Issuer['certificate'] => {
      const extensions = ['basicConstraints = critical, CA:TRUE', ...keyUsage, 'subjectKeyIdentifier = hash'];
      const [certificate] = parseCertificates(opensslRoot({ extensions }).crt);
      assert.ok(certificate !== undefined);
      return certificate;
    };
    const without = brought(['keyUsage = critical, keyCertSign']);
    assert.equal(maySignCrls(without), false);
    throwsCode('IssuerRefuses', () => issueCrl({ certificate: without, signer: issuer.signer }, content()));
    assert.equal(maySignCrls(brought([])), true);
    assert.equal(maySignCrls(issuer.certificate), true);
  });
});

describe('a CRL belongs to a CA', () => {
  const crl = issueCrl(issuer, content({ revoked: [revoked('01')] }));

  test('when its name and signature match, with any key identifier', () => {
    assert.equal(isCrlOf(crl, issuer.certificate), true);
    assert.equal(isCrlOf({ ...crl, issuer: root({ name: 'Other' }).certificate.subject }, issuer.certificate), false);
    assert.equal(isCrlOf({ ...crl, authorityKeyId: '00'.repeat(20) }, issuer.certificate), true);
    assert.equal(namesIssuer({ ...crl, authorityKeyId: '00'.repeat(20) }, issuer.certificate), false);
    const signature = Buffer.from(crl.signature);
    signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
    assert.equal(isCrlOf({ ...crl, signature }, issuer.certificate), false);
  });

  test('but not to another CA with the same name and key identifier', () => {
    const specs: KeySpec[] = [
      { algorithm: 'ECDSA', size: 256 },
      { algorithm: 'Ed25519' },
      { algorithm: 'RSA', size: 2048 },
    ];
    for (const key of specs) {
      const { publicKey } = root({ key }).certificate;
      assert.equal(isCrlOf(crl, { ...issuer.certificate, publicKey }), false);
    }
  });

  test('only with an accepted signature algorithm', () => {
    assert.equal(isCrlOf({ ...crl, signatureOid: '1.2.840.10045.4.1' }, issuer.certificate), false);
  });
});

describe('CRLs are read', () => {
  test('when openssl wrote them', () => {
    const { crt, key } = opensslRoot();
    const [certificate] = parseCertificates(crt);
    assert.ok(certificate !== undefined);
    const index = scratchFile('R\t361231235959Z\t260101000000Z,keyCompromise\t0A0B\tunknown\t/CN=a\n');
    const number = scratchFile('1000\n');
    const config = scratchFile(
      `[ca]\ndefault_ca = own\n[own]\ndatabase = ${index}\ncrlnumber = ${number}\ndefault_md = sha384\ncrl_extensions = list\n[list]\nauthorityKeyIdentifier = keyid\n`,
    );
    const files = ['-cert', scratchFile(crt), '-keyfile', scratchFile(key)];
    const pem = opensslFile(['ca', '-gencrl', '-config', config, ...files, '-crldays', '3']);
    const [crl] = parseCrls(pem);
    assert.ok(crl !== undefined);
    assert.deepEqual([crl.number, crl.revoked], [0x1000n, [revoked('0a0b', new Date('2026-01-01T00:00:00Z'))]]);
    assert.equal(isCrlOf(crl, certificate), true);
  });

  test('when a text contains several, with text between them', () => {
    const [one, two] = [issueCrl(issuer, content()), issueCrl(root(), content({ number: 2n }))];
    assert.deepEqual(parseCrls(`one\n${encodeCrls([one])}two\n${encodeCrls([two])}`), [one, two]);
    assert.deepEqual(parseCrls(''), []);
  });

  test('only from PEM blocks with the label X509 CRL', () => {
    throwsCode('MalformedPem', () => parseCrls(encodePem('CERTIFICATE', issueCrl(issuer, content()).der)));
  });

  const algorithm = asn1.sequence(asn1.oid('1.2.840.10045.4.3.2'));
  const extension = (id: string, value: asn1.Asn1, critical = false): asn1.Asn1 =>
    asn1.sequence(asn1.oid(id), ...(critical ? [asn1.boolean(true)] : []), asn1.octetString(asn1.encode(value)));
  const number = extension('2.5.29.20', asn1.integer(Uint8Array.of(1)));
  const times = [asn1.time(now), asn1.time(later(days(1)))];
  const name = asn1.encoded(issuer.certificate.subject);

  interface Parts {
    readonly fields: asn1.Asn1[];
    readonly outer?: asn1.Asn1;
    readonly signature?: asn1.Asn1;
    readonly more?: asn1.Asn1[];
  }
  const pemOf = ({
    fields,
    outer = algorithm,
    signature = asn1.bitString(Buffer.alloc(8)),
    more = [],
  }: Parts): string =>
    encodePem('X509 CRL', asn1.encode(asn1.sequence(asn1.sequence(...fields), outer, signature, ...more)));
  const version = asn1.integer(Uint8Array.of(1));
  const head = [version, algorithm, name, ...times];
  const withExtensions = (...list: asn1.Asn1[]): Parts => ({
    fields: [...head, asn1.explicit(0, asn1.sequence(...list))],
  });
  const entry = (...parts: asn1.Asn1[]): Parts => ({
    fields: [...head, asn1.sequence(asn1.sequence(...parts)), asn1.explicit(0, asn1.sequence(number))],
  });
  const serial = asn1.integer(Uint8Array.of(7));

  test('with unknown extensions that are not critical', () => {
    const odd = extension('1.2.3.4', asn1.nullValue());
    assert.equal(parseCrls(pemOf(withExtensions(number, odd))).length, 1);
    const [crl] = parseCrls(pemOf(entry(serial, asn1.time(now), asn1.sequence(odd))));
    assert.deepEqual(crl?.revoked, [revoked('07')]);
  });

  const malformed: [title: string, parts: Parts, message?: RegExp][] = [
    ['of version 1', { fields: [algorithm, name, ...times] }, /version 2/],
    ['of version 3', { fields: [asn1.integer(Uint8Array.of(2)), ...head.slice(1)] }, /version 2/],
    [
      'without nextUpdate',
      { fields: [version, algorithm, name, asn1.time(now), asn1.explicit(0, asn1.sequence(number))] },
    ],
    ['without extensions', { fields: head }],
    ['without a number', withExtensions(), /no number/],
    ['with a negative number', withExtensions(extension('2.5.29.20', asn1.encoded(Buffer.of(2, 1, 0x80))))],
    ['with a number of 21 octets', withExtensions(extension('2.5.29.20', asn1.integer(Buffer.alloc(21, 1))))],
    ['with two numbers', withExtensions(number, number), /appears twice/],
    [
      'that is a delta',
      withExtensions(number, extension('2.5.29.27', serial, true)),
      /critical extension 2\.5\.29\.27/,
    ],
    ['that is indirect', withExtensions(number, extension('2.5.29.28', asn1.sequence(), true)), /2\.5\.29\.28/],
    [
      'with an entry of another issuer',
      entry(serial, asn1.time(now), asn1.sequence(extension('2.5.29.29', asn1.sequence(), true))),
      /2\.5\.29\.29/,
    ],
    [
      'with a critical number in an entry',
      entry(serial, asn1.time(now), asn1.sequence(extension('2.5.29.20', serial, true))),
    ],
    ['with an entry without a date', entry(serial)],
    ['with an entry without a serial number', entry(asn1.time(now))],
    ['with an additional field in an entry', entry(serial, asn1.time(now), asn1.sequence(), asn1.nullValue())],
    ['with a field after the extensions', { fields: [...withExtensions(number).fields, asn1.nullValue()] }],
    ['with a field after the signature', { ...withExtensions(number), more: [asn1.nullValue()] }],
    ['that names two algorithms', { ...withExtensions(number), outer: asn1.sequence(asn1.oid('1.3.101.112')) }],
    ['with unused bits in the signature', { ...withExtensions(number), signature: asn1.bitString(Buffer.alloc(8), 1) }],
    ['without a signature', { ...withExtensions(number), signature: asn1.octetString(Buffer.alloc(8)) }],
  ];
  for (const [title, parts, message] of malformed) {
    test(`but not ${title}`, () => throwsCode('MalformedCrl', () => parseCrls(pemOf(parts)), message));
  }

  test('when assembled from the unchanged parts (the control for the tests above)', () => {
    assert.equal(parseCrls(pemOf(withExtensions(number))).length, 1);
    openssl(['crl', '-noout'], pemOf(entry(serial, asn1.time(now))));
  });
});
