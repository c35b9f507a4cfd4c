import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { implicit } from '../../../../src/pki/asn1/der.ts';
import {
  backdateMs,
  type Certificate,
  describeKeySpec,
  encodeCertificates,
  encodedLeafProfile,
  type Issuer,
  inspectIssuer,
  isSignedBy,
  type KeySpec,
  type LeafProfile,
  type LeafUsage,
  prepareLeaf,
  profileDigest,
  type Role,
} from '../../../../src/pki/index.ts';
import { certificateProfileDigest } from '../../../../src/pki/x509/leaf-profile.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { openssl, opensslRefusal, opensslRoot, type Purpose, present } from '../../../support/openssl.ts';
import * as fc from '../../../support/properties.ts';
import { permitting } from '../../../support/roots/extensions.ts';
import { issueLeafNow, issueRoot, signNow, withSigner } from '../../../support/sign.ts';
import { throwsCode } from '../expect.ts';

const none = altNames();
const profile = (changes: Partial<LeafProfile> = {}): LeafProfile => ({
  role: 'server',
  subject: { commonName: 'payments' },
  names: { ...none, dnsNames: ['payments.shop.svc'] },
  durationMs: days(90),
  ...changes,
});
const context = (at = now) => ({ now: at, serialSeed: randomBytes(20) });

const issueLeaf = (
  issuer: Issuer,
  changes: Partial<LeafProfile> = {},
  { at = now, key = privateKey() }: { at?: Date; key?: KeyObject } = {},
): Certificate => issueLeafNow(profile(changes), createPublicKey(key), issuer, context(at));

/** `openssl x509 -text`, as trimmed lines. */
const textOf = (certificate: Certificate): string[] =>
  openssl(['x509', '-text', '-noout', '-nameopt', 'RFC2253'], encodeCertificates([certificate]))
    .split('\n')
    .map((line) => line.trim());

/** The line that follows an extension's title, and whether the extension is critical. */
function extension(text: readonly string[], title: string): { critical: boolean; value: string } | undefined {
  const at = text.findIndex((line) => line.startsWith(`X509v3 ${title}:`));
  return at < 0 ? undefined : { critical: text[at]?.includes('critical') === true, value: text[at + 1] ?? '' };
}

/** The two times of a certificate as `openssl asn1parse` prints them: the type, then YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ. */
const timesOf = ({ der }: Certificate): string[] =>
  openssl(['asn1parse', '-inform', 'DER'], der).match(/(UTCTIME|GENERALIZEDTIME) +:\S+/g) ?? [];

const extensionTitles = (text: readonly string[]): string[] =>
  text.flatMap((line) => /^X509v3 (?!extensions)([^:]+):/.exec(line)?.[1] ?? []);

const purposes = { server: ['sslserver'], client: ['sslclient'], peer: ['sslserver', 'sslclient'] } as const;
const usages: Record<Role, string> = {
  server: 'TLS Web Server Authentication',
  client: 'TLS Web Client Authentication',
  peer: 'TLS Web Server Authentication, TLS Web Client Authentication',
};

describe('a leaf', () => {
  const p256: KeySpec = { algorithm: 'ECDSA', size: 256 };
  const keys: [spec: KeySpec, keyUsage: string, publicKey: string, signature: string][] = [
    [p256, 'Digital Signature', 'id-ecPublicKey', 'ecdsa-with-SHA256'],
    [{ algorithm: 'ECDSA', size: 384 }, 'Digital Signature', 'id-ecPublicKey', 'ecdsa-with-SHA384'],
    [{ algorithm: 'ECDSA', size: 521 }, 'Digital Signature', 'id-ecPublicKey', 'ecdsa-with-SHA512'],
    [{ algorithm: 'Ed25519' }, 'Digital Signature', 'ED25519', 'ED25519'],
    [
      { algorithm: 'RSA', size: 2048 },
      'Digital Signature, Key Encipherment',
      'rsaEncryption',
      'sha256WithRSAEncryption',
    ],
  ];
  const roles: Role[] = ['server', 'client', 'peer'];
  const cases = keys.flatMap(([spec, keyUsage, publicKey, signature]) =>
    roles.map((role) => ({
      role,
      spec,
      keyUsage: role === 'client' ? 'Digital Signature' : keyUsage,
      publicKey,
      signature,
    })),
  );
  for (const { role, spec, keyUsage, publicKey, signature } of cases) {
    test(`for a ${role} with ${describeKeySpec(spec)}, under a root of the same kind, matches the profile`, () => {
      const issuer = root({ name: 'Org', key: spec });
      const leaf = issueLeaf(issuer, { role }, { key: privateKey(spec) });
      const text = textOf(leaf);
      assert.deepEqual(extensionTitles(text), [
        'Basic Constraints',
        'Key Usage',
        'Extended Key Usage',
        'Subject Key Identifier',
        'Authority Key Identifier',
        'Subject Alternative Name',
      ]);
      assert.deepEqual(extension(text, 'Basic Constraints'), { critical: true, value: 'CA:FALSE' });
      assert.deepEqual(extension(text, 'Key Usage'), { critical: true, value: keyUsage });
      assert.deepEqual(extension(text, 'Extended Key Usage'), { critical: false, value: usages[role] });
      assert.deepEqual(extension(text, 'Subject Alternative Name'), {
        critical: false,
        value: 'DNS:payments.shop.svc',
      });
      const [own, issuers] = ['Subject', 'Authority'].map((of) => extension(text, `${of} Key Identifier`)?.value);
      assert.match(own ?? '', /^([0-9A-F]{2}:){19}[0-9A-F]{2}$/);
      assert.equal(issuers, extension(textOf(issuer.certificate), 'Subject Key Identifier')?.value);
      assert.ok(text.includes('Version: 3 (0x2)') && text.includes('Subject: CN=payments'));
      assert.ok(text.includes(`Public Key Algorithm: ${publicKey}`));
      assert.equal(text.filter((line) => line === `Signature Algorithm: ${signature}`).length, 2);
      for (const purpose of ['sslserver', 'sslclient'] as const) {
        const refusal = opensslRefusal(
          encodeCertificates([leaf]),
          encodeCertificates([issuer.certificate]),
          purpose,
          now,
        );
        const isMeant = (purposes[role] as readonly string[]).includes(purpose);
        if (isMeant) assert.equal(refusal, undefined);
        else assert.match(refusal ?? '', /unsuitable certificate purpose|unsupported certificate purpose/);
      }
    });
  }

  const allUsages = ['ipsecIKE', 'emailProtection', 'codeSigning', 'contentCommitment'] as const;
  const additionalUsages: [spec: KeySpec, usages: readonly LeafUsage[], keyUsage: string][] = [
    [p256, ['keyAgreement', ...allUsages], 'Digital Signature, Non Repudiation, Key Agreement'],
    [
      { algorithm: 'RSA', size: 2048 },
      ['dataEncipherment', ...allUsages],
      'Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment',
    ],
    [{ algorithm: 'Ed25519' }, allUsages, 'Digital Signature, Non Repudiation'],
  ];
  for (const [spec, some, keyUsage] of additionalUsages) {
    test(`with ${describeKeySpec(spec)} has the requested usages in addition to those of TLS`, () => {
      const issuer = root();
      const leaf = issueLeaf(issuer, { role: 'client', usages: some }, { key: privateKey(spec) });
      const text = textOf(leaf);
      assert.deepEqual(extension(text, 'Key Usage'), { critical: true, value: keyUsage });
      assert.deepEqual(extension(text, 'Extended Key Usage'), {
        critical: false,
        value: 'TLS Web Client Authentication, Code Signing, E-mail Protection, ipsec Internet Key Exchange',
      });
      const refusal = (purpose: Purpose) =>
        opensslRefusal(encodeCertificates([leaf]), encodeCertificates([issuer.certificate]), purpose, now);
      assert.deepEqual([refusal('sslclient'), refusal('smimesign')], [undefined, undefined]);
      assert.match(refusal('sslserver') ?? '', /unsuitable certificate purpose|unsupported certificate purpose/);
    });
  }

  test('has the profile digest of its usages in any order, and another digest for other usages', () => {
    const issuer = root();
    const digests = [
      ['ipsecIKE', 'keyAgreement', 'codeSigning'],
      ['codeSigning', 'keyAgreement', 'ipsecIKE'],
    ].map((list) => certificateProfileDigest(issueLeaf(issuer, { usages: list as LeafUsage[] })));
    const usages: LeafUsage[] = ['keyAgreement', 'codeSigning', 'ipsecIKE'];
    const wanted = (some: readonly LeafUsage[]) =>
      profileDigest(encodedLeafProfile(profile({ usages: some }), 'ECDSA-256'));
    assert.deepEqual(new Set([...digests, wanted(usages)]).size, 1);
    for (const usage of usages) assert.notEqual(wanted(usages.filter((other) => other !== usage)), wanted(usages));
  });

  test('has NULL algorithm parameters only for RSA', () => {
    const algorithms = (issuer: Issuer): string =>
      openssl(['asn1parse', '-inform', 'DER'], issueLeaf(issuer).der).replaceAll(/ +/g, ' ');
    assert.doesNotMatch(algorithms(root({ key: { algorithm: 'Ed25519' } })), /NULL/);
    assert.doesNotMatch(algorithms(root()), /NULL/);
    assert.equal(algorithms(root({ key: { algorithm: 'RSA', size: 2048 } })).match(/prim: NULL/g)?.length, 2);
  });

  test('has critical alternative names when its subject is empty', () => {
    const text = textOf(issueLeaf(root(), { subject: {} }));
    assert.equal(extension(text, 'Subject Alternative Name')?.critical, true);
  });

  test('is valid from five minutes before its issue, for the requested duration', () => {
    const leaf = issueLeaf(root(), { durationMs: hours(1) });
    assert.deepEqual([leaf.notBefore, leaf.notAfter], [earlier(backdateMs), later(hours(1))]);
    assert.equal(backdateMs, minutes(5));
  });

  test('has times in whole seconds, never beyond the requested duration', () => {
    const leaf = issueLeaf(root(), { durationMs: hours(1) + 999 }, { at: later(1) });
    assert.deepEqual([leaf.notBefore, leaf.notAfter], [earlier(backdateMs), later(hours(1) + 1000)]);
    const other = issueLeaf(root(), { durationMs: hours(1) + 998 }, { at: later(1) });
    assert.deepEqual(other.notAfter, later(hours(1)));
  });

  test('has the validity that its issuance chooses, within that of its root', () => {
    const issuer = root({ at: earlier(minutes(1)), durationMs: hours(2) });
    const serialSeed = randomBytes(20);
    const validFor = (notBefore: Date, notAfter: Date) => {
      const issuance = { now, serialSeed, validity: { notBefore, notAfter } };
      return signNow(prepareLeaf(profile({ durationMs: hours(9) }), privateKey(), issuer, issuance));
    };
    const chosen = validFor(earlier(minutes(2)), later(hours(1)));
    assert.deepEqual([chosen.notBefore, chosen.notAfter], [earlier(minutes(2)), later(hours(1))]);
    const { notBefore, notAfter } = issuer.certificate;
    const cut = validFor(earlier(hours(1)), later(hours(5)));
    assert.deepEqual([cut.notBefore, cut.notAfter], [notBefore, notAfter]);
  });

  test('ends with the root when no date can hold the end of the duration', () => {
    const issuer = root();
    const leaf = issueLeaf(issuer, { durationMs: 999_999_999_999 * hours(1) });
    assert.deepEqual(leaf.notAfter, issuer.anchor.notAfter);
  });

  test('expires with its root if it would otherwise outlive it', () => {
    const issuer = root({ at: earlier(days(10)), durationMs: days(20) });
    assert.deepEqual(issueLeaf(issuer).notAfter, issuer.certificate.notAfter);
  });

  test('is valid only while every CA above it is valid', () => {
    const above = root({ at: earlier(days(10)), durationMs: days(20) });
    const ends = [above, intermediate(above), intermediate(intermediate(above, { durationMs: days(35) }))];
    const notAfter = [above.certificate.notAfter, above.certificate.notAfter, later(days(5))];
    assert.deepEqual(
      ends.map((issuer) => issueLeaf(issuer).notAfter),
      notAfter,
    );
    const young = root({ at: later(minutes(4)) });
    assert.deepEqual(issueLeaf(intermediate(young)).notBefore, young.certificate.notBefore);
    const ended = root({ at: earlier(days(10)), durationMs: days(9) });
    throwsCode('IssuerRefuses', () => issueLeaf(intermediate(intermediate(ended))));
  });

  test('is refused for a name that any CA above it excludes', () => {
    const permitted = permitting(implicit(2, Buffer.from('payments.shop.svc')));
    const above = intermediate(root(), { more: [permitted] });
    const issuer = intermediate(above);
    const other = { names: { ...none, dnsNames: ['a.payments.shop.svc', 'orders.shop.svc'] } };
    throwsCode('IssuerRefuses', () => issueLeaf(issuer, other), /exclude orders\.shop\.svc$/);
    assert.ok(isSignedBy(issueLeaf(issuer), issuer.certificate));
  });

  test('does not begin before its root', () => {
    const issuer = root({ at: now });
    const leaf = issueLeaf(issuer, {}, { at: earlier(minutes(4)) });
    assert.deepEqual(leaf.notBefore, issuer.certificate.notBefore);
  });

  test('begins with a root that was created in the same second', () => {
    const { crt, key } = opensslRoot();
    const at = new Date(Math.floor(Date.now() / 1000) * 1000 + 1000);
    const inspection = inspectIssuer(crt, key, at);
    assert.ok('issuer' in inspection);
    assert.deepEqual(issueLeaf(inspection.issuer, {}, { at }).notBefore, inspection.issuer.certificate.notBefore);
  });

  const boundaries: [title: string, end: Date, times: string[]][] = [
    ['UTCTime up to the last second of 2049', new Date('2049-12-31T23:59:59Z'), ['UTCTIME', ':491231235959Z']],
    ['GeneralizedTime from 2050 on', new Date('2050-01-01T00:00:00Z'), ['GENERALIZEDTIME', ':20500101000000Z']],
  ];
  for (const [title, end, expected] of boundaries) {
    test(`has ${title}`, () => {
      const issuer = root({ durationMs: days(36_500) });
      const leaf = issueLeaf(issuer, { durationMs: end.getTime() - now.getTime() });
      const [begin, finish] = timesOf(leaf).map((line) => line.split(/ +/));
      assert.deepEqual(finish, expected);
      assert.deepEqual(begin, ['UTCTIME', ':260301115500Z']);
      assert.deepEqual(leaf.notAfter, end);
    });
  }

  test('may begin after 2049', () => {
    const at = new Date('2060-06-01T00:00:00Z');
    const issuer = root({ at, durationMs: days(365) });
    const leaf = issueLeaf(issuer, {}, { at });
    assert.deepEqual(leaf.notBefore, new Date('2060-05-31T23:55:00Z'));
    assert.deepEqual(timesOf(leaf)[0]?.split(/ +/), ['GENERALIZEDTIME', ':20600531235500Z']);
  });

  test('never outlives its root, for any duration and time of issue', () => {
    const issuer = root({ at: earlier(days(100)), durationMs: days(200) });
    const { notBefore, notAfter } = issuer.certificate;
    const moments = fc.date({ min: notBefore, max: new Date(notAfter.getTime() - 1), noInvalidDate: true });
    fc.assert(
      fc.property(moments, fc.nat({ max: days(3650) }), (at, more) => {
        const leaf = issueLeafNow(profile({ durationMs: minutes(5) + more }), publicKey, issuer, context(at));
        assert.ok(leaf.notBefore >= notBefore && leaf.notAfter <= notAfter);
        assert.ok(leaf.notBefore <= at && leaf.notAfter > leaf.notBefore);
      }),
    );
  });

  const publicKey = createPublicKey(privateKey());

  test('can be signed only once', async () => {
    const prepared = prepareLeaf(profile(), publicKey, root(), context());
    await prepared.sign();
    await assert.rejects(prepared.sign(), { code: 'InvalidRequest', message: /only once/ });
  });

  const refusals: [title: string, code: 'InvalidRequest' | 'InvalidName', changes: Partial<LeafProfile>][] = [
    ['without any alternative name', 'InvalidRequest', { names: none }],
    ['with a common name of 65 characters', 'InvalidRequest', { subject: { commonName: 'a'.repeat(65) } }],
    ['with an encryption usage for a key that only signs', 'InvalidRequest', { usages: ['dataEncipherment'] }],
    ['with a usage of CAs', 'InvalidRequest', { usages: ['keyCertSign' as never] }],
    ['with a name outside ASCII', 'InvalidName', { names: { ...none, dnsNames: ['münchen'] } }],
    ['with an invalid IP address', 'InvalidName', { names: { ...none, ipAddresses: ['10.0.0'] } }],
  ];
  for (const [title, code, changes] of refusals) {
    test(`is refused ${title}`, () =>
      throwsCode(code, () => prepareLeaf(profile(changes), publicKey, root(), context())));
  }

  test('is refused when its root is not yet valid or has expired', () => {
    const issuer = root({ at: now, durationMs: days(1) });
    const { notBefore, notAfter } = issuer.certificate;
    const prepareAt = (at: Date) => prepareLeaf(profile(), publicKey, issuer, context(at));
    throwsCode('IssuerRefuses', () => prepareAt(new Date(notBefore.getTime() - 1)));
    throwsCode('IssuerRefuses', () => prepareAt(notAfter));
    assert.ok(signNow(prepareAt(notBefore)).notBefore >= notBefore);
    assert.deepEqual(signNow(prepareAt(new Date(notAfter.getTime() - 1))).notAfter, notAfter);
  });

  test('is refused when the key of its root does not verify the signature', () => {
    const impostor = withSigner({ ...root(), key: privateKey() });
    throwsCode('VerificationFailed', () => issueLeafNow(profile(), publicKey, impostor, context()));
  });
});

describe('the serial number', () => {
  const issuer = root();
  const publicKey = createPublicKey(privateKey());
  const serialOf = (serialSeed: Uint8Array): string =>
    issueLeafNow(profile(), publicKey, issuer, { now, serialSeed }).serialNumber;

  test('is positive and has 20 octets, for any seed', () => {
    for (const seed of [Buffer.alloc(20), Buffer.alloc(20, 0xff), Buffer.alloc(20, 0x80), Buffer.alloc(20, 0x7f)]) {
      assert.match(serialOf(seed), /^[4-7][0-9a-f]{39}$/);
    }
  });

  test('is the same as openssl reads', () => {
    const leaf = issueLeaf(issuer);
    const read = openssl(['x509', '-noout', '-serial'], encodeCertificates([leaf]));
    assert.equal(read.trim().toLowerCase(), `serial=${leaf.serialNumber}`);
  });

  test('differs for every seed', () => {
    const serials = Array.from({ length: 200 }, () => serialOf(randomBytes(20)));
    assert.equal(new Set(serials).size, serials.length);
  });

  test('needs a seed of 20 octets', () => {
    for (const length of [0, 19, 21]) throwsCode('InvalidRequest', () => serialOf(Buffer.alloc(length)));
  });
});

describe('a generated root', () => {
  const keys: KeySpec[] = [
    { algorithm: 'ECDSA', size: 256 },
    { algorithm: 'ECDSA', size: 521 },
    { algorithm: 'RSA', size: 3072 },
    { algorithm: 'Ed25519' },
  ];
  for (const key of keys) {
    test(`with ${describeKeySpec(key)} matches the profile and may sign`, () => {
      const { certificate, key: signer } = root({ name: 'Org', key, at: now, durationMs: days(3650) });
      const text = textOf(certificate);
      assert.deepEqual(extensionTitles(text), ['Basic Constraints', 'Key Usage', 'Subject Key Identifier']);
      assert.deepEqual(extension(text, 'Basic Constraints'), { critical: true, value: 'CA:TRUE' });
      assert.deepEqual(extension(text, 'Key Usage'), { critical: true, value: 'Certificate Sign, CRL Sign' });
      assert.deepEqual([certificate.notBefore, certificate.notAfter], [earlier(backdateMs), later(days(3650))]);
      assert.deepEqual(certificate.subject, certificate.issuer);
      const pem = encodeCertificates([certificate]);
      const inspection = inspectIssuer(pem, signer.export({ type: 'pkcs8', format: 'pem' }), now);
      assert.ok('issuer' in inspection);
    });
  }

  test('has a different subject for every key, because OpenSSL confuses two roots with one name', () => {
    const [a, b] = [root({ name: 'Org' }), root({ name: 'Org' })];
    assert.ok(!a.certificate.subject.equals(b.certificate.subject));
    const { key } = a;
    const again = issueRoot({ subject: { commonName: 'Org' }, durationMs: days(1) }, key, context());
    assert.deepEqual(again.subject, a.certificate.subject);
  });
});

describe('the issuer of a leaf equals the subject of its root octet by octet', () => {
  // Forms that other programs write. Decoding and re-encoding a name would change them.
  const subjects: [title: string, subject: string, settings: string[]][] = [
    ['when the root has PrintableString', '/C=DE/O=Org/CN=Root', ['string_mask = default']],
    ['when the root has TeletexString', '/O=Börse/CN=Root', ['string_mask = MASK:4']],
    ['when the root has BMPString', '/O=Börse/CN=Röot', ['string_mask = MASK:2048']],
    ['when the root has UTF8String', '/O=Börse/CN=日本', ['string_mask = utf8only']],
    ['when the root has two attributes in one set', '/O=Org+OU=Unit/CN=Root', ['string_mask = utf8only']],
  ];
  for (const [title, subject, settings] of subjects) {
    test(title, () => {
      const { crt, key } = opensslRoot({
        subject,
        settings,
        more: ['-utf8', ...(title.includes('set') ? ['-multivalue-rdn'] : [])],
      });
      const at = present;
      const inspection = inspectIssuer(crt, key, at);
      assert.ok('issuer' in inspection, JSON.stringify(inspection));
      const leaf = issueLeaf(inspection.issuer, {}, { at });
      assert.deepEqual(leaf.issuer, inspection.issuer.certificate.subject);
      assert.ok(isSignedBy(leaf, inspection.issuer.certificate));
      assert.equal(opensslRefusal(encodeCertificates([leaf]), crt, 'sslserver', at), undefined);
    });
  }

  test('with a root whose key identifier is not derived from its key', () => {
    const { crt, key } = opensslRoot({
      extensions: ['basicConstraints = critical, CA:TRUE', 'subjectKeyIdentifier = 0102'],
    });
    const at = present;
    const inspection = inspectIssuer(crt, key, at);
    assert.ok('issuer' in inspection);
    assert.equal(issueLeaf(inspection.issuer, {}, { at }).authorityKeyId, '0102');
  });
});
