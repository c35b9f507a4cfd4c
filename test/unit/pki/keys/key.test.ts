import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { PkiError } from '../../../../src/pki/index.ts';
import { generatePrivateKey } from '../../../../src/pki/keys/generate-key.ts';
import * as keys from '../../../../src/pki/keys/key.ts';
import { privateKey } from '../../../support/fixtures/roots.ts';
import { openssl, opensslFile, p256 } from '../../../support/openssl.ts';
import { throwsCode } from '../expect.ts';

const ecdsa = (size: 256 | 384 | 521): keys.KeySpec => ({ algorithm: 'ECDSA', size });
const rsa = (size: 2048 | 3072 | 4096): keys.KeySpec => ({ algorithm: 'RSA', size });
const ed25519: keys.KeySpec = { algorithm: 'Ed25519' };

describe('a private key', () => {
  const kinds: [spec: keys.KeySpec, encoding: keys.KeyEncoding, label: string, kind: string, opensslSays: RegExp][] = [
    [ecdsa(256), 'PKCS8', 'PRIVATE KEY', 'ECDSA-256', /prime256v1/],
    [ecdsa(256), 'SEC1', 'EC PRIVATE KEY', 'ECDSA-256', /prime256v1/],
    [ecdsa(384), 'PKCS8', 'PRIVATE KEY', 'ECDSA-384', /secp384r1/],
    [ecdsa(384), 'SEC1', 'EC PRIVATE KEY', 'ECDSA-384', /secp384r1/],
    [ecdsa(521), 'PKCS8', 'PRIVATE KEY', 'ECDSA-521', /secp521r1/],
    [ecdsa(521), 'SEC1', 'EC PRIVATE KEY', 'ECDSA-521', /secp521r1/],
    [rsa(2048), 'PKCS8', 'PRIVATE KEY', 'RSA-2048', /2048 bit[\s\S]*65537/],
    [rsa(2048), 'PKCS1', 'RSA PRIVATE KEY', 'RSA-2048', /2048 bit[\s\S]*65537/],
    [rsa(3072), 'PKCS8', 'PRIVATE KEY', 'RSA-3072', /3072 bit[\s\S]*65537/],
    [ed25519, 'PKCS8', 'PRIVATE KEY', 'Ed25519', /ED25519/],
  ];
  for (const [spec, encoding, label, kind, opensslSays] of kinds) {
    test(`of kind ${kind} in ${encoding} is read back unchanged, also by openssl`, async () => {
      const key = await generatePrivateKey(spec);
      const pem = keys.encodePrivateKey(key, encoding);
      assert.equal(pem.split('\n')[0], `-----BEGIN ${label}-----`);
      const read = keys.parsePrivateKey(pem);
      assert.equal(read.encoding, encoding);
      assert.ok(read.key.equals(key));
      assert.deepEqual(
        [keys.describeKey(key), keys.describeKey(createPublicKey(key)), keys.describeKeySpec(spec)],
        [kind, kind, kind],
      );
      assert.match(openssl(['pkey', '-text_pub', '-noout'], pem), opensslSays);
      assert.equal(openssl(['pkey', '-pubout'], pem), createPublicKey(key).export({ type: 'spki', format: 'pem' }));
    });
  }

  test('is different every time', async () => {
    const [a, b] = await Promise.all([generatePrivateKey(ecdsa(256)), generatePrivateKey(ecdsa(256))]);
    assert.ok(!keys.publicKeyDer(a).equals(keys.publicKeyDer(b)));
  });

  const misfits: [spec: keys.KeySpec, encoding: keys.KeyEncoding][] = [
    [ecdsa(256), 'PKCS1'],
    [rsa(2048), 'SEC1'],
    [ed25519, 'PKCS1'],
    [ed25519, 'SEC1'],
  ];
  for (const [spec, encoding] of misfits) {
    test(`of kind ${keys.describeKeySpec(spec)} cannot be written as ${encoding}`, () =>
      throwsCode('InvalidRequest', () => keys.encodePrivateKey(privateKey(spec), encoding)));
  }

  test('is printed and serialised without key material', () => {
    const key = privateKey();
    const { d } = key.export({ format: 'jwk' });
    assert.ok(!`${inspect(key, { depth: 9 })}${JSON.stringify(key)}`.includes(String(d)));
  });
});

describe('a private key is read', () => {
  test('with the EC PARAMETERS block that openssl writes before it', () => {
    const pem = opensslFile(['ecparam', '-genkey', '-name', 'prime256v1']);
    assert.match(pem, /BEGIN EC PARAMETERS/);
    assert.equal(keys.parsePrivateKey(pem).encoding, 'SEC1');
  });

  test('with text around it', () => {
    const pem = keys.encodePrivateKey(privateKey(), 'PKCS8');
    assert.ok(keys.parsePrivateKey(`Bag Attributes\n${pem}\n`).key.equals(keys.parsePrivateKey(pem).key));
  });
});

describe('a private key is refused', () => {
  const pkcs8 = openssl(['genpkey', ...p256]);
  const relabelled = (label: string): string => pkcs8.replaceAll('PRIVATE KEY', label);
  const texts: [title: string, pem: string, code: PkiError['code']][] = [
    ['when the text is empty', '', 'MalformedKey'],
    ['when the text has no PEM block', 'my key', 'MalformedKey'],
    ['when the text has two keys', pkcs8 + pkcs8, 'MalformedKey'],
    ['when it is a public key', openssl(['pkey', '-pubout'], pkcs8), 'MalformedKey'],
    ['when its label is not that of a key', relabelled('CERTIFICATE'), 'MalformedKey'],
    ['when its label names the wrong encoding', relabelled('RSA PRIVATE KEY'), 'MalformedKey'],
    ['when its octets are garbage', '-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n', 'MalformedKey'],
    ['when it is truncated', `${pkcs8.slice(0, 60)}\n-----END PRIVATE KEY-----\n`, 'MalformedKey'],
    ['when its PEM is broken', pkcs8.slice(0, 60), 'MalformedPem'],
    ['when it is encrypted PKCS#8', openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], pkcs8), 'EncryptedKey'],
    ['when it is encrypted by a PEM header', openssl(['ec', '-aes256', '-passout', 'pass:x'], pkcs8), 'EncryptedKey'],
    ['when it is larger than a megabyte', pkcs8 + ' '.repeat(1024 * 1024), 'TooLarge'],
  ];
  for (const [title, pem, code] of texts) test(title, () => throwsCode(code, () => keys.parsePrivateKey(pem)));

  test('with an error that does not quote it', () => {
    const body = pkcs8.split('\n')[1] ?? '';
    for (const pem of [relabelled('RSA PRIVATE KEY'), pkcs8 + pkcs8, pkcs8.slice(0, 90)]) {
      assert.throws(
        () => keys.parsePrivateKey(pem),
        (error) => error instanceof PkiError && !inspect(error, { depth: 9 }).includes(body.slice(0, 16)),
      );
    }
  });
});

describe('the signature algorithm', () => {
  const algorithms: [kind: keys.KeySpec, oid: string, digest: string | null, nullParameters: boolean][] = [
    [ecdsa(256), '1.2.840.10045.4.3.2', 'sha256', false],
    [ecdsa(384), '1.2.840.10045.4.3.3', 'sha384', false],
    [ecdsa(521), '1.2.840.10045.4.3.4', 'sha512', false],
    [ed25519, '1.3.101.112', null, false],
    [rsa(2048), '1.2.840.113549.1.1.11', 'sha256', true],
    [rsa(3072), '1.2.840.113549.1.1.11', 'sha256', true],
    [rsa(4096), '1.2.840.113549.1.1.12', 'sha384', true],
  ];
  for (const [spec, oid, digest, nullParameters] of algorithms) {
    test(`of ${keys.describeKeySpec(spec)} uses ${digest ?? 'the built-in digest'}`, () =>
      assert.deepEqual(keys.signatureAlgorithm(privateKey(spec)), { oid, digest, nullParameters }));
  }

  const unsupported: [title: string, key: () => { privateKey: Parameters<typeof keys.signatureAlgorithm>[0] }][] = [
    ['RSA with 1024 bits', () => generateKeyPairSync('rsa', { modulusLength: 1024 })],
    ['secp256k1', () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' })],
    ['P-224', () => generateKeyPairSync('ec', { namedCurve: 'secp224r1' })],
    ['Ed448', () => generateKeyPairSync('ed448')],
    ['RSA-PSS', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 })],
    ['X25519', () => generateKeyPairSync('x25519')],
  ];
  for (const [title, make] of unsupported) {
    test(`is refused for a key of type ${title}`, () =>
      throwsCode('UnsupportedKey', () => keys.signatureAlgorithm(make().privateKey)));
  }
});
