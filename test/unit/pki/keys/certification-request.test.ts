import assert from 'node:assert/strict';
import { createECDH, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';

import { bitString, encode, oid, sequence } from '../../../../src/pki/asn1/der.ts';
import { describeKey, PkiError, parsePublicKey, publicKeyDer, publicKeyInRequest } from '../../../../src/pki/index.ts';
import { generatePodKey, stubRequest } from '../../../support/pods/stub-request.ts';

const requestFor = (key: KeyObject): Buffer => stubRequest(key, publicKeyDer(key));

const p256Info = (point: Buffer): Buffer =>
  encode(sequence(sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')), bitString(point)));

const fails = (der: Buffer, code: string): void =>
  assert.throws(
    () => publicKeyInRequest(der),
    (error) => error instanceof PkiError && error.code === code,
  );

describe('the public key of a stub request', () => {
  for (const type of ['ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072'] as const) {
    test(`is read for ${type}`, () => {
      const key = generatePodKey(type);
      const info = publicKeyInRequest(requestFor(key));
      assert.deepEqual(info, publicKeyDer(key));
      assert.deepEqual(publicKeyDer(parsePublicKey(info)), info);
    });
  }

  for (const form of ['uncompressed', 'compressed', 'hybrid'] as const) {
    test(`on P-256 with a point in the ${form} form is written as OpenSSL writes it`, () => {
      const ecdh = createECDH('prime256v1');
      ecdh.generateKeys();
      const info = p256Info(ecdh.getPublicKey(null, form));
      const expected = createPublicKey({ key: info, format: 'der', type: 'spki' });
      const key = parsePublicKey(info);
      assert.deepEqual(publicKeyDer(key), expected.export({ type: 'spki', format: 'der' }));
      assert.equal(describeKey(key), 'ECDSA-256');
    });
  }

  test('is refused with an exponent that no certificate may have', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 });
    fails(requestFor(privateKey), 'UnsupportedKey');
  });

  test('is refused for another kind of key', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    fails(requestFor(privateKey), 'UnsupportedKey');
  });

  test('is refused in anything that is not a request', () => {
    const request = requestFor(generatePodKey('ED25519'));
    fails(Buffer.alloc(0), 'MalformedDer');
    fails(request.subarray(0, -1), 'MalformedDer');
    fails(Buffer.concat([request, Buffer.of(0)]), 'MalformedDer');
    fails(Buffer.of(0x30, 0), 'MalformedDer');
    fails(Buffer.of(0x30, 2, 0x30, 0), 'MalformedDer');
    fails(Buffer.alloc(70_000, 0x30), 'TooLarge');
  });

  test('is a copy, which does not keep the request in memory', () => {
    const { buffer, length } = publicKeyInRequest(requestFor(generatePodKey('ED25519')));
    assert.equal(buffer.byteLength, length);
  });
});
