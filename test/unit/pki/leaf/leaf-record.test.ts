import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import {
  encodeCertificates,
  encodedLeafProfile,
  encodePrivateKey,
  leafRecord,
  type PkiErrorCode,
  parseCertificates,
  profileDigest,
  readLeaf,
  readLeafChain,
  resolveLeaf,
  verifyLeafAhead,
} from '../../../../src/pki/index.ts';
import { encodedRoot, intermediate, issuerIdOf, privateKey, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, hours, now } from '../../../support/fixtures/times.ts';
import { openssl, opensslRoot } from '../../../support/openssl.ts';
import { issueLeafNow } from '../../../support/sign.ts';
import { onlyPkiErrors, throwsCode } from '../expect.ts';

const signer = root();
const key = privateKey();
const profile = {
  role: 'peer',
  subject: { commonName: 'payments' },
  names: {
    dnsNames: ['payments.shop.svc'],
    ipAddresses: ['10.0.0.1'],
    uris: ['spiffe://cluster.local/ns/shop/sa/a'],
    emailAddresses: [],
    otherNames: [],
  },
  durationMs: hours(24),
} as const;

const issue = (by = signer) => issueLeafNow(profile, createPublicKey(key), by, { now, serialSeed: randomBytes(20) });
const leaf = issue();
const crt = encodeCertificates([leaf]);
const keyPem = encodePrivateKey(key, 'PKCS8');
const roots = [root().certificate, signer.certificate];

describe('the key pair of a Secret', () => {
  test('has the record of the issued leaf', () => {
    assert.deepEqual(readLeaf(crt, keyPem, roots), {
      fingerprint: leaf.fingerprint,
      serialNumber: leaf.serialNumber,
      notBefore: leaf.notBefore,
      notAfter: leaf.notAfter,
      profile: profileDigest(encodedLeafProfile(profile, 'ECDSA-256')),
      publicKey: createHash('sha256').update(leaf.publicKeyInfo).digest('hex'),
      keyKind: 'ECDSA-256',
      keyEncoding: 'PKCS8',
      root: rootIdOf(signer),
      issuer: issuerIdOf(signer),
      issuerNotBefore: signer.certificate.notBefore,
      issuerNotAfter: signer.certificate.notAfter,
    });
  });

  test('has the fingerprint and serial number that openssl prints', () => {
    const [fingerprint, serial] = openssl(['x509', '-noout', '-fingerprint', '-sha256', '-serial'], crt)
      .trim()
      .split('\n');
    assert.equal(fingerprint?.replaceAll(':', '').toLowerCase(), `sha256 fingerprint=${leaf.fingerprint}`);
    assert.equal(serial?.toLowerCase(), `serial=${leaf.serialNumber}`);
  });

  test('has no root when no known root has signed it', () => {
    assert.equal(readLeaf(crt, keyPem, []).root, undefined);
    assert.equal(readLeaf(crt, keyPem, [root().certificate]).root, undefined);
  });

  test('has the root that verifies it, not another root with the same key identifier', () => {
    const impostor = { ...root().certificate, subjectKeyId: signer.certificate.subjectKeyId ?? '' };
    assert.equal(readLeaf(crt, keyPem, [impostor, signer.certificate]).root, rootIdOf(signer));
    assert.equal(readLeaf(crt, keyPem, [impostor]).root, undefined);
  });

  test('has the root that verifies it, not another root with the same name', () => {
    const impostor = { ...root().certificate, subject: signer.certificate.subject };
    assert.equal(readLeaf(crt, keyPem, [impostor, signer.certificate]).root, rootIdOf(signer));
  });

  test('has the same record when its signature was verified ahead, with any root', async () => {
    const impostor = { ...root().certificate, subject: signer.certificate.subject };
    for (const known of [roots, [impostor], [impostor, signer.certificate], []]) {
      const chain = readLeafChain(crt);
      await verifyLeafAhead(chain, known);
      assert.deepEqual(readLeaf(chain, keyPem, known), readLeaf(crt, keyPem, known));
    }
    const damaged = Buffer.from(leaf.der);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
    const chain = readLeafChain(encodePem('CERTIFICATE', damaged));
    await verifyLeafAhead(chain, roots);
    assert.equal(readLeaf(chain, keyPem, roots).root, undefined);
  });

  test('has a record without key material and without the certificate', () => {
    const kept = JSON.stringify(leafRecord(leaf, [], keyPem, roots));
    assert.ok(!kept.includes(String(key.export({ format: 'jwk' }).d)) && !kept.includes('Buffer'));
  });

  const [tbs, algorithm, signature] = asn1.readOnly(leaf.der, asn1.tags.sequence).children();
  assert.ok(tbs !== undefined && algorithm !== undefined && signature !== undefined);
  /** The leaf with these fields and this signature. The first octet of `bits` is the number of unused bits. */
  const assembled = (fields: Buffer, bits: Buffer): string => {
    const parts = [asn1.encoded(fields), asn1.encoded(algorithm.der), asn1.bitString(bits.subarray(1), bits[0])];
    return encodePem('CERTIFICATE', asn1.encode(asn1.sequence(...parts)));
  };
  const signed = (fields: Buffer): Buffer => Buffer.concat([Buffer.of(0), sign('sha256', fields, signer.key)]);

  test('has a root when it is reassembled from its parts (the control for the next tests)', () => {
    assert.equal(readLeaf(assembled(tbs.der, signature.content), keyPem, roots).root, rootIdOf(signer));
    assert.equal(readLeaf(assembled(tbs.der, signed(tbs.der)), keyPem, roots).root, rootIdOf(signer));
  });

  test('has no root when the algorithms inside and outside the signed fields differ', () => {
    const fields = Buffer.from(tbs.der);
    // Changes ecdsa-with-SHA256 to ecdsa-with-SHA384.
    fields[fields.indexOf(algorithm.der) + algorithm.der.length - 1] = 3;
    assert.equal(readLeaf(assembled(fields, signed(fields)), keyPem, roots).root, undefined);
  });

  test('has no root when the signature has unused bits or one signed bit has changed', () => {
    const bits = Buffer.from(signature.content);
    bits[0] = 1;
    assert.equal(readLeaf(assembled(tbs.der, bits), keyPem, roots).root, undefined);
    const fields = Buffer.from(tbs.der);
    fields.writeUInt8(fields.readUInt8(20) ^ 1, 20);
    assert.equal(readLeaf(assembled(fields, signature.content), keyPem, roots).root, undefined);
  });

  test('is also parsed by OpenSSL when no known root has signed it', () => {
    // A name with sequences in place of sets: readCertificate accepts it, OpenSSL does not.
    const der = Buffer.from(leaf.der);
    der[der.indexOf(leaf.subject) + 2] = 0x30;
    throwsCode('MalformedCertificate', () => readLeaf(encodePem('CERTIFICATE', der), keyPem, roots));
  });

  const encrypted = openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], keyPem);
  const bad: [title: string, crt: string, key: string, code: PkiErrorCode][] = [
    ['when the key belongs to another certificate', crt, encodePrivateKey(privateKey(), 'PKCS8'), 'VerificationFailed'],
    [
      'when the key has another type',
      crt,
      encodePrivateKey(privateKey({ algorithm: 'Ed25519' }), 'PKCS8'),
      'VerificationFailed',
    ],
    ['when there is no certificate', '', keyPem, 'MalformedCertificate'],
    ['when there is no key', crt, '', 'MalformedKey'],
    ['when there are two leaves', crt + encodeCertificates([issue()]), keyPem, 'VerificationFailed'],
    ['when the root follows the leaf', crt + encodedRoot(signer).crt, keyPem, 'VerificationFailed'],
    ['when text precedes the certificate', `hello\n${crt}`, keyPem, 'MalformedPem'],
    ['when text follows the certificate', `${crt}hello`, keyPem, 'MalformedPem'],
    ['when the certificate has other line breaks', crt.replace('\n', '\r\n'), keyPem, 'MalformedPem'],
    ['when the last line end is missing', crt.trimEnd(), keyPem, 'MalformedPem'],
    [
      'when a character of the certificate is missing',
      crt.slice(0, 200) + crt.slice(201),
      keyPem,
      'MalformedCertificate',
    ],
    ['when the certificate is truncated', crt.slice(0, 100), keyPem, 'MalformedPem'],
    ['when key and certificate are swapped', keyPem, crt, 'MalformedPem'],
    [
      'when the certificate is garbage',
      '-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n',
      keyPem,
      'MalformedCertificate',
    ],
    ['when the key is encrypted', crt, encrypted, 'EncryptedKey'],
    ['when there are two keys', crt, keyPem + keyPem, 'MalformedKey'],
    ['when the text is larger than a megabyte', crt + '\n'.repeat(1024 * 1024), keyPem, 'TooLarge'],
  ];
  for (const [title, crt, key, code] of bad) {
    test(`is refused ${title}`, () => throwsCode(code, () => readLeaf(crt, key, roots)));
  }
});

describe('the chain of a Secret', () => {
  const impostorRoot = root({ name: 'Root' }).certificate;
  const upper = intermediate(signer, { name: 'Upper' });
  const lower = intermediate(upper, { name: 'Lower', durationMs: days(90) });
  const below = issue(lower);
  const chainOf = (...certificates: Parameters<typeof encodeCertificates>[0]) => encodeCertificates(certificates);
  const whole = chainOf(below, ...lower.intermediates);

  test('has a record with the root, the issuer and the period in which all CAs are valid', () => {
    const { root: anchor, issuer, issuerNotBefore, issuerNotAfter } = readLeaf(whole, keyPem, roots);
    assert.deepEqual(
      { anchor, issuer, issuerNotBefore, issuerNotAfter },
      {
        anchor: rootIdOf(signer),
        issuer: issuerIdOf(lower),
        issuerNotBefore: upper.certificate.notBefore,
        issuerNotAfter: lower.certificate.notAfter,
      },
    );
  });

  test('has no root while the root is unknown or the last intermediates are missing', () => {
    assert.equal(readLeaf(whole, keyPem, []).root, undefined);
    for (const part of [chainOf(below), chainOf(below, lower.certificate)]) {
      const record = readLeaf(part, keyPem, roots);
      assert.deepEqual([record.root, record.issuer, record.issuerNotAfter], [undefined, undefined, undefined]);
    }
  });

  test('gets the same record when its root becomes known later', () => {
    const unknown = readLeaf(whole, keyPem, [impostorRoot]);
    assert.equal(unknown.unresolved?.length, 3);
    assert.equal(resolveLeaf(unknown, [impostorRoot]), unknown);
    assert.deepEqual(resolveLeaf(unknown, roots), readLeaf(whole, keyPem, roots));
    assert.equal(readLeaf(whole, keyPem, roots).unresolved, undefined);
  });

  const impostor = intermediate(root({ name: 'Root' }), { name: 'Upper' });
  const leafAbove = issueLeafNow(profile, createPublicKey(upper.key), signer, {
    now,
    serialSeed: randomBytes(20),
  });
  const { subject } = leafAbove;
  const noCa = { ...upper.certificate, subject };
  const underLeaf = issue({ ...upper, certificate: noCa, intermediates: [noCa] });
  const brief = { ...upper.certificate, notAfter: new Date(below.notAfter.getTime() - 1) };
  const bad: [title: string, pem: string][] = [
    ['when an intermediate in the middle is missing', chainOf(below, upper.certificate)],
    ['in the wrong order', chainOf(below, upper.certificate, lower.certificate)],
    ['with an intermediate twice', chainOf(below, lower.certificate, lower.certificate, upper.certificate)],
    ['with an intermediate that only has the right name', chainOf(below, lower.certificate, impostor.certificate)],
    ['with its root at the end', chainOf(below, ...lower.intermediates, signer.certificate)],
    ['with a leaf in place of an intermediate', chainOf(underLeaf, leafAbove)],
  ];
  for (const [title, pem] of bad) {
    test(`is refused ${title}`, () => throwsCode('VerificationFailed', () => readLeaf(pem, keyPem, roots)));
  }

  test('is refused with text between its certificates', () => {
    throwsCode('MalformedPem', () => readLeaf(chainOf(below) + `\n${chainOf(...lower.intermediates)}`, keyPem, roots));
  });

  test('is refused with an intermediate that expires before the leaf', () => {
    throwsCode('VerificationFailed', () => leafRecord(below, [lower.certificate, brief], keyPem, roots));
    const late = { ...upper.certificate, notBefore: new Date(below.notBefore.getTime() + 1) };
    throwsCode('VerificationFailed', () => leafRecord(below, [lower.certificate, late], keyPem, roots));
  });
});

describe('a certificate', () => {
  /** A self-signed certificate from openssl with these extensions. */
  const parse = (extensions: readonly string[]) => parseCertificates(opensslRoot({ extensions }).crt);

  const unreadable: [title: string, extensions: readonly string[]][] = [
    ['with basic constraints that are not a sequence', ['basicConstraints = DER:05:00']],
    ['with a path length of five octets', ['basicConstraints = DER:30:0a:01:01:ff:02:05:01:00:00:00:00']],
    ['with key usage that is not a bit string', ['keyUsage = DER:05:00']],
    ['with empty key usage', ['keyUsage = DER:03:00']],
    ['with truncated extended key usage', ['extendedKeyUsage = DER:30:05:06']],
    ['with a usage that is not in minimal encoding', ['extendedKeyUsage = DER:30:06:06:04:55:1d:80:25']],
    ['with octets after a key identifier', ['subjectKeyIdentifier = DER:04:01:aa:00']],
  ];
  for (const [title, extensions] of unreadable) {
    test(`is unreadable ${title}`, () => throwsCode('MalformedCertificate', () => parse(extensions)));
  }

  test('is unreadable with a repeated extension, because verifiers disagree about which one counts', () => {
    const [tbs, ...signature] = asn1.readAll(asn1.readOnly(leaf.der, asn1.tags.sequence).content).map(({ der }) => der);
    const fields = asn1.readAll(asn1.readOnly(tbs ?? Buffer.alloc(0), asn1.tags.sequence).content);
    const list = asn1.readAll(asn1.readOnly(fields.at(-1)?.content ?? Buffer.alloc(0), asn1.tags.sequence).content);
    const [first] = list;
    assert.ok(first !== undefined);
    const extensions = asn1.explicit(3, asn1.sequence(...[...list, first].map(({ der }) => asn1.encoded(der))));
    const changed = asn1.sequence(...fields.slice(0, -1).map(({ der }) => asn1.encoded(der)), extensions);
    const der = asn1.encode(asn1.sequence(changed, ...signature.map(asn1.encoded)));
    throwsCode('MalformedCertificate', () => parseCertificates(encodePem('CERTIFICATE', der)), /appears twice/);
  });

  test('is unreadable with octets after it', () => {
    const pem = encodePem('CERTIFICATE', Buffer.concat([leaf.der, Buffer.of(0)]));
    throwsCode('MalformedCertificate', () => parseCertificates(pem));
  });

  test('is read with its extensions', () => {
    const [certificate] = parse([
      'basicConstraints = critical, CA:TRUE, pathlen:3',
      'keyUsage = digitalSignature, keyCertSign, decipherOnly',
      'extendedKeyUsage = serverAuth, 1.2.3.4',
      '1.2.3.5 = critical, ASN1:NULL',
      '1.2.3.6 = ASN1:NULL',
    ]);
    assert.deepEqual(certificate?.basicConstraints, { ca: true, pathLength: 3 });
    assert.deepEqual([...(certificate.keyUsage ?? [])], [0, 5, 8]);
    assert.deepEqual(certificate.extendedKeyUsage, ['1.3.6.1.5.5.7.3.1', '1.2.3.4']);
    assert.deepEqual(certificate.unknownCritical, ['1.2.3.5']);
  });

  test('is not read from DER of another version', () => {
    for (const der of [Buffer.alloc(0), Buffer.from(crt), Buffer.alloc(100, 0x30)]) {
      const pem = encodePem('CERTIFICATE', der);
      assert.throws(() => parseCertificates(pem));
      onlyPkiErrors(() => parseCertificates(pem));
    }
  });
});
