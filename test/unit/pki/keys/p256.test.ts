import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import { encodePrivateKey, generatePrivateKey, readLeaf } from '../../../../src/pki/index.ts';
import { encodeP256, isKeyPairOf, readP256 } from '../../../../src/pki/keys/p256.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { openssl } from '../../../support/openssl.ts';
import { throwsCode } from '../expect.ts';

const newKey = (paramEncoding: 'named' | 'explicit' = 'named'): KeyObject =>
  generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding }).privateKey;
const pkcs8Of = (key: KeyObject): Buffer => key.export({ type: 'pkcs8', format: 'der' });
const infoOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

describe('a key on P-256', () => {
  test('is written as OpenSSL writes it, with the public key', () => {
    // One key in 256 begins with a zero octet, which must be kept.
    for (let i = 0; i < 1000; i += 1) {
      const key = newKey();
      const { pkcs8, publicInfo } = encodeP256(key);
      assert.ok(pkcs8.equals(pkcs8Of(key)) && publicInfo.equals(infoOf(key)));
    }
  });

  test('is read from the output of OpenSSL, and matches only its own public key', () => {
    const [key, other] = [newKey(), newKey()];
    const pair = readP256(pkcs8Of(key));
    assert.ok(pair !== undefined);
    assert.ok(isKeyPairOf(pair, infoOf(key)));
    assert.ok(!isKeyPairOf(pair, infoOf(other)));
  });

  test('has the same PEM as from OpenSSL when the operator generated it', async () => {
    const key = await generatePrivateKey({ algorithm: 'ECDSA', size: 256 });
    assert.equal(encodePrivateKey(key, 'PKCS8'), key.export({ type: 'pkcs8', format: 'pem' }));
    assert.equal(openssl(['pkey'], encodePrivateKey(key, 'PKCS8')), encodePrivateKey(key, 'PKCS8'));
  });

  test('with explicit curve parameters keeps them', () => {
    const key = newKey('explicit');
    assert.equal(encodePrivateKey(key, 'PKCS8'), key.export({ type: 'pkcs8', format: 'pem' }));
    assert.equal(readP256(pkcs8Of(key)), undefined);
  });
});

describe('a key on P-256 does not match a certificate', () => {
  const [mine, other] = [newKey(), newKey()];
  const info = infoOf(mine);
  const whole = pkcs8Of(mine);
  /** The key with octets replaced at an offset. */
  const changed = (at: number, octets: Uint8Array): Buffer => {
    const der = Buffer.from(whole);
    der.set(octets, at);
    return der;
  };
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
  const bad: [title: string, der: Buffer][] = [
    // OpenSSL accepts this one, because it does not check the public key.
    ['with the private number of another key', changed(36, pkcs8Of(other).subarray(36, 68))],
    ['with one bit of the private number changed', changed(67, Buffer.of((whole[67] ?? 0) ^ 1))],
    ['with the public key of another key', changed(73, pkcs8Of(other).subarray(73))],
    ['with zero as the private number', changed(36, Buffer.alloc(32))],
    ['with the order of the curve as the private number', changed(36, order)],
  ];
  for (const [title, der] of bad) {
    test(title, () => {
      const pair = readP256(der);
      assert.ok(pair !== undefined && !isKeyPairOf(pair, info));
    });
  }

  test('and its Secret is refused', () => {
    const signer = root();
    const { data } = certificate().issuedBy(signer).secret('server');
    const [crt, pem] = ['tls.crt', 'tls.key'].map((key) => Buffer.from(data?.[key] ?? '', 'base64').toString());
    assert.ok(crt !== undefined && pem !== undefined);
    const der = Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64');
    assert.equal(readLeaf(crt, pem, [signer.certificate]).root, rootIdOf(signer));
    der[67] = (der[67] ?? 0) ^ 1;
    throwsCode('VerificationFailed', () => readLeaf(crt, encodePem('PRIVATE KEY', der), [signer.certificate]));
  });
});
