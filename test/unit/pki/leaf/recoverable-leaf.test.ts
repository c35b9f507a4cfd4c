import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import {
  anchorId,
  chainWithin,
  encodeCertificates,
  encodePrivateKey,
  type Issuer,
  publicKeyDigest,
  recoverLeaf,
} from '../../../../src/pki/index.ts';
import { certificate, requestOf } from '../../../support/fixtures/certificate.ts';
import { intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { issueLeafNow } from '../../../support/sign.ts';

const anchor = root();
const upper = intermediate(anchor, { name: 'Upper' });
const issuing = intermediate(upper, { name: 'Issuing' });
const { profile } = requestOf(certificate().record, 'server');
const key = privateKey();
const keyPem = encodePrivateKey(key, 'PKCS8');
const issue = (by: Issuer) => issueLeafNow(profile, createPublicKey(key), by, { now, serialSeed: randomBytes(20) });
const leaf = issue(issuing);
const path = [leaf, ...issuing.intermediates];
const good = encodeCertificates(path);
const roots = [anchor.anchor];

describe('the recoverable part of a damaged key pair', () => {
  test('is the leaf of the key and its chain, in any order and among other certificates', () => {
    const strangers = [anchor.anchor, root().anchor, intermediate(root()).certificate];
    fc.assert(
      fc.property(fc.shuffledSubarray([...path, ...path, ...strangers], { minLength: 1 }), (some) => {
        const text = encodeCertificates(some).replaceAll('\n', '\r\n');
        const { publicKey, restorable } = recoverLeaf(text, keyPem, roots);
        assert.equal(publicKey, publicKeyDigest(key));
        const isWhole = path.every((one) => some.includes(one));
        if (isWhole) assert.equal(restorable?.root, anchorId(anchor.anchor));
        const chain = chainWithin(text, publicKeyDigest(key), roots);
        if (isWhole && chain?.leaf.fingerprint === leaf.fingerprint) {
          assert.equal(encodeCertificates([chain.leaf, ...chain.intermediates]), good);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('is the key alone when its leaf is missing', () => {
    const publicKey = publicKeyDigest(key);
    const others = encodeCertificates([
      issueLeafNow(profile, createPublicKey(privateKey()), issuing, { now, serialSeed: randomBytes(20) }),
    ]);
    for (const text of ['', 'garbage', '-----BEGIN CERTIFICATE-----', others, encodePem('CERTIFICATE', Buffer.of(1))]) {
      assert.deepEqual(recoverLeaf(text, keyPem, roots), { publicKey });
    }
  });

  test('is empty when the key cannot be read', () => {
    for (const text of ['', 'garbage', keyPem + keyPem, keyPem.slice(0, 80)]) {
      assert.deepEqual(recoverLeaf(good, text, roots), {});
    }
  });

  test('is not searched among more certificates than the limit', () => {
    const many = good + encodeCertificates(Array.from({ length: 16 }, () => anchor.anchor));
    assert.equal(recoverLeaf(many, keyPem, roots).restorable, undefined);
  });
});
