import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { inspectRoot, parseTrustAnchors, type RootProblem, trustBundle } from '../../../src/pki/index.ts';
import { days, encodedRoot, root } from '../../support/fixtures.ts';
import {
  goodRoot,
  type OpensslRoot,
  type OpensslRootOptions,
  openssl,
  opensslRoot,
  present,
  scratchFile,
} from './openssl.ts';

const curve = (name: string): string[] => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${name}`];
const rsa = (bits: number): string[] => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`];
const isCa = 'basicConstraints = critical, CA:TRUE';

const good = opensslRoot();
const other = opensslRoot();

/** Signed by `good`, which has the name of all roots that openssl makes here. */
const signedByGood = (options: OpensslRootOptions): OpensslRoot =>
  opensslRoot({ ...options, more: ['-CA', scratchFile(good.crt), '-CAkey', scratchFile(good.key)] });

const verdictOn = ({ crt, key }: OpensslRoot, at = present): RootProblem | 'good' => {
  const inspection = inspectRoot(crt, key, at);
  return 'reason' in inspection ? inspection.reason : 'good';
};

describe('a root that a person brings may sign', () => {
  const roots: [title: string, make: () => OpensslRoot][] = [
    ['with ECDSA P-256', () => good],
    ['with ECDSA P-384 and SHA-384', () => opensslRoot({ key: curve('P-384'), digest: ['-sha384'] })],
    ['with ECDSA P-521 and SHA-512', () => opensslRoot({ key: curve('P-521'), digest: ['-sha512'] })],
    ['with RSA of 2048 bits', () => opensslRoot({ key: rsa(2048) })],
    ['with RSA of 4096 bits', () => opensslRoot({ key: rsa(4096) })],
    ['with Ed25519', () => opensslRoot({ key: ['-algorithm', 'ED25519'], digest: [] })],
    ['without key usage', () => opensslRoot({ extensions: [isCa] })],
    ['without subject key identifier', () => opensslRoot({ extensions: goodRoot.slice(0, 2) })],
    ['with basic constraints that are not critical', () => opensslRoot({ extensions: ['basicConstraints = CA:TRUE'] })],
    ['with a path length', () => opensslRoot({ extensions: ['basicConstraints = critical, CA:TRUE, pathlen:0'] })],
    [
      'with any extended key usage',
      () => opensslRoot({ extensions: [isCa, 'extendedKeyUsage = anyExtendedKeyUsage'] }),
    ],
    ['for both ends of TLS', () => opensslRoot({ extensions: [isCa, 'extendedKeyUsage = serverAuth, clientAuth'] })],
    [
      'with an unknown extension that is not critical',
      () => opensslRoot({ extensions: [isCa, '1.2.3.4 = ASN1:NULL'] }),
    ],
    ['with name constraints', () => opensslRoot({ extensions: [isCa, 'nameConstraints = critical, permitted;DNS:a'] })],
    ['with an SEC1 key', () => ({ ...good, key: openssl(['ec'], good.key) })],
    [
      'with an SEC1 key behind its parameters',
      () => ({ ...good, key: `${openssl(['ecparam', '-name', 'prime256v1'])}${openssl(['ec'], good.key)}` }),
    ],
    [
      'with a PKCS#1 key',
      () => {
        const made = opensslRoot({ key: rsa(2048) });
        return { ...made, key: openssl(['rsa', '-traditional'], made.key) };
      },
    ],
    [
      'with text around the PEM',
      () => ({ crt: `${openssl(['x509', '-text'], good.crt)}\nend\n`, key: `a\n${good.key}` }),
    ],
    [
      'with line ends of Windows',
      () => ({ crt: good.crt.replaceAll('\n', '\r\n'), key: good.key.replaceAll('\n', '\r\n') }),
    ],
  ];
  for (const [title, make] of roots) test(title, () => assert.equal(verdictOn(make()), 'good'));
});

describe('a root that a person brings is refused', () => {
  const garbage = '-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n';
  const certificates: [title: string, reason: RootProblem, make: () => OpensslRoot][] = [
    [
      'as no CA without basic constraints',
      'RootNotCA',
      () => opensslRoot({ extensions: ['subjectKeyIdentifier = hash'] }),
    ],
    ['as no CA when it says so', 'RootNotCA', () => opensslRoot({ extensions: ['basicConstraints = CA:FALSE'] })],
    [
      'when its key may sign lists only',
      'RootKeyUsage',
      () => opensslRoot({ extensions: [isCa, 'keyUsage = cRLSign'] }),
    ],
    [
      'when it is for clients only',
      'RootExtendedKeyUsage',
      () => opensslRoot({ extensions: [isCa, 'extendedKeyUsage = clientAuth'] }),
    ],
    [
      'when it is for e-mail and servers',
      'RootExtendedKeyUsage',
      () => opensslRoot({ extensions: [isCa, 'extendedKeyUsage = emailProtection, serverAuth'] }),
    ],
    [
      'for a critical extension that nobody knows',
      'RootUnknownCriticalExtension',
      () => opensslRoot({ extensions: [isCa, '1.2.3.4 = critical, ASN1:NULL'] }),
    ],
    [
      'for a critical policy that is not honoured here',
      'RootUnknownCriticalExtension',
      () => opensslRoot({ extensions: [isCa, 'policyConstraints = critical, requireExplicitPolicy:0'] }),
    ],
    ['with SHA-1', 'RootWeakSignature', () => opensslRoot({ digest: ['-sha1'] })],
    ['with MD5', 'RootWeakSignature', () => opensslRoot({ key: rsa(2048), digest: ['-md5'] })],
    [
      'with RSA-PSS, which not every stack takes',
      'RootWeakSignature',
      () => opensslRoot({ key: rsa(2048), more: ['-sigopt', 'rsa_padding_mode:pss'] }),
    ],
    ['with RSA of 1024 bits', 'RootWeakKey', () => opensslRoot({ key: rsa(1024) })],
    ['with RSA of 2047 bits', 'RootWeakKey', () => opensslRoot({ key: rsa(2047) })],
    ['with secp256k1', 'RootWeakKey', () => opensslRoot({ key: curve('secp256k1') })],
    ['with P-224', 'RootWeakKey', () => opensslRoot({ key: curve('secp224r1') })],
    [
      'with DSA',
      'RootWeakSignature',
      () => opensslRoot({ keyPem: openssl(['dsaparam', '-genkey', '-noout', '1024']) }),
    ],
    ['with Ed448', 'RootWeakSignature', () => opensslRoot({ key: ['-algorithm', 'ED448'], digest: [] })],
    ['with an empty subject', 'RootMalformed', () => opensslRoot({ subject: '/' })],
    [
      'when it is an intermediate without its root',
      'RootChainIncomplete',
      () => signedByGood({ subject: '/CN=Intermediate' }),
    ],
    ['when another key has signed it in its own name', 'RootIssuerMismatch', () => signedByGood({})],
    [
      'when a key of another kind has signed it in its own name',
      'RootIssuerMismatch',
      () => signedByGood({ key: ['-algorithm', 'ED25519'] }),
    ],
    ['when there is no certificate', 'RootMalformed', () => ({ ...good, crt: '' })],
    ['when there is only text', 'RootMalformed', () => ({ ...good, crt: 'certificate' })],
    ['when the certificate is cut off', 'RootMalformed', () => ({ ...good, crt: good.crt.slice(0, 200) })],
    ['when the octets are garbage', 'RootMalformed', () => ({ ...good, crt: garbage })],
    ['when there are two roots', 'RootUnrelatedCertificates', () => ({ ...good, crt: good.crt + other.crt })],
    ['when the key stands in for the certificate', 'RootMalformed', () => ({ ...good, crt: good.key })],
    ['when there are ten megabytes', 'RootMalformed', () => ({ ...good, crt: good.crt.repeat(15_000) })],
    ['when the key is of another root', 'RootKeyMismatch', () => ({ ...good, key: other.key })],
    [
      'when the key is of another kind',
      'RootKeyMismatch',
      () => ({ ...good, key: openssl(['genpkey', ...rsa(2048)]) }),
    ],
    ['when there is no key', 'RootKeyMalformed', () => ({ ...good, key: '' })],
    [
      'when the key is garbage',
      'RootKeyMalformed',
      () => ({ ...good, key: garbage.replaceAll('CERTIFICATE', 'PRIVATE KEY') }),
    ],
    ['when there are two keys', 'RootKeyMalformed', () => ({ ...good, key: good.key + other.key })],
    ['when the certificate stands in for the key', 'RootKeyMalformed', () => ({ ...good, key: good.crt })],
    [
      'when the key is encrypted PKCS#8',
      'RootKeyEncrypted',
      () => ({ ...good, key: openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], good.key) }),
    ],
    [
      'when the key is encrypted in the old form',
      'RootKeyEncrypted',
      () => ({ ...good, key: openssl(['ec', '-aes256', '-passout', 'pass:x'], good.key) }),
    ],
  ];
  for (const [title, reason, make] of certificates) test(title, () => assert.equal(verdictOn(make()), reason));

  test('before its time and from the moment on at which it expires', () => {
    const young = root();
    const made = encodedRoot(young);
    const { notBefore, notAfter } = young.certificate;
    assert.equal(verdictOn(made, new Date(notBefore.getTime() - 1)), 'RootNotYetValid');
    assert.equal(verdictOn(made, notBefore), 'good');
    assert.equal(verdictOn(made, new Date(notAfter.getTime() - 1)), 'good');
    assert.equal(verdictOn(made, notAfter), 'RootExpired');
    assert.equal(verdictOn(good, new Date(Date.now() + days(31))), 'RootExpired');
  });

  test('with a message that holds nothing of the key', () => {
    const body = good.key.split('\n')[1] ?? '';
    for (const key of [
      good.key.slice(0, 90),
      good.key + good.key,
      other.key,
      good.key.replaceAll('PRIVATE KEY', 'X'),
    ]) {
      assert.ok(!JSON.stringify(inspectRoot(good.crt, key, present)).includes(body.slice(0, 16)));
    }
  });

  test('by a verdict and never by an exception, whatever the octets', () => {
    const crtDer = Buffer.from(good.crt.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const keyDer = Buffer.from(good.key.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const pem = (label: string, der: Buffer): string =>
      `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;
    const damaged = (der: Buffer) =>
      fc.array(fc.tuple(fc.nat({ max: der.length - 1 }), fc.nat({ max: 255 })), { maxLength: 3 }).map((changes) => {
        const copy = Buffer.from(der);
        for (const [at, octet] of changes) copy[at] = octet;
        return copy;
      });
    fc.assert(
      fc.property(damaged(crtDer), damaged(keyDer), (crt, key) => {
        const inspection = inspectRoot(pem('CERTIFICATE', crt), pem('PRIVATE KEY', key), present);
        const isUntouched = crt.equals(crtDer) && key.equals(keyDer);
        if (isUntouched) assert.ok('root' in inspection);
        else if ('root' in inspection)
          assert.ok(crt.equals(crtDer), 'a certificate that was changed is not self-signed');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the trust bundle', () => {
  const [a, b, c] = [root({ name: 'A' }), root({ name: 'B' }), root({ name: 'C', at: new Date('2024-01-01') })].map(
    ({ certificate }) => certificate,
  );
  assert.ok(a !== undefined && b !== undefined && c !== undefined);

  test('has the active root first, the newest of the others next, and none twice', () => {
    const bundle = trustBundle(b, [c, a, b, c]);
    assert.deepEqual(
      bundle.roots.map(({ fingerprint }) => fingerprint),
      [b, a, c].map(({ fingerprint }) => fingerprint),
    );
    assert.equal(parseTrustAnchors(bundle.pem).length, 3);
  });

  test('is the same for the same roots in any order', () => {
    const roots = [a, b, c, ...[1, 2].map((n) => root({ name: `N${n}` }).certificate)];
    fc.assert(
      fc.property(fc.shuffledSubarray(roots, { minLength: roots.length }), (shuffled) => {
        assert.equal(trustBundle(a, shuffled).digest, trustBundle(a, roots).digest);
      }),
    );
  });

  test('takes in self-signed CAs only: no leaf, no intermediate, no self-signed leaf', () => {
    const intermediate = signedByGood({ subject: '/CN=Intermediate' });
    const selfSignedLeaf = opensslRoot({ extensions: ['basicConstraints = CA:FALSE'] });
    const disguised = signedByGood({});
    const pem = [intermediate, selfSignedLeaf, disguised, good].map(({ crt }) => crt).join('');
    assert.deepEqual(parseTrustAnchors(pem), parseTrustAnchors(good.crt));
    assert.equal(parseTrustAnchors(good.crt).length, 1);
  });

  test('is empty for an empty text', () => assert.deepEqual(parseTrustAnchors(''), []));
});
