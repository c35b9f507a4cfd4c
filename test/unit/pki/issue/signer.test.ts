/** A remote key, as in a KMS: it signs each certificate and CRL once, and its signature is verified. */
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import {
  type Issuer,
  isCrlOf,
  isSignedBy,
  KeySigner,
  type KeySpec,
  type Prepared,
  prepareCrl,
  prepareLeaf,
  prepareRoot,
  type Signer,
} from '../../../../src/pki/index.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { privateKey } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';

/** A signer that answers in a later turn of the event loop. */
class RemoteSigner implements Signer {
  readonly publicKey: KeyObject;
  readonly algorithm: Signer['algorithm'];
  /** The octets that it was asked to sign. */
  readonly asked: Buffer[] = [];
  failure: Error | undefined;
  readonly #key: KeySigner;

  constructor(key: KeyObject, signsWith = key) {
    this.#key = new KeySigner(signsWith);
    this.publicKey = createPublicKey(key);
    this.algorithm = new KeySigner(key).algorithm;
  }

  async sign(octets: Buffer): Promise<Buffer> {
    this.asked.push(octets);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failure !== undefined) throw this.failure;
    return this.#key.sign(octets);
  }
}

const names = altNames({ dnsNames: ['a.example.org'] });
const context = () => ({ now, serialSeed: randomBytes(20) });
const rootOf = (signer: Signer) =>
  prepareRoot({ subject: { commonName: 'Remote' }, durationMs: days(3650) }, signer, context());
const leafOf = (issuer: Issuer) =>
  prepareLeaf(
    { role: 'server', subject: {}, names, durationMs: days(1) },
    createPublicKey(privateKey()),
    issuer,
    context(),
  );
const crlOf = (issuer: Issuer) =>
  prepareCrl(issuer, { number: 1n, thisUpdate: now, nextUpdate: later(days(7)), revoked: [] });

async function issuerOf(signer: RemoteSigner): Promise<Issuer> {
  const certificate = await rootOf(signer).sign();
  signer.asked.length = 0;
  return { certificate, signer, intermediates: [], anchor: certificate };
}

const keys: readonly KeySpec[] = [
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 521 },
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'Ed25519' },
];

describe('a signer with a remote key', () => {
  for (const key of keys) {
    test(`signs roots, leaves and CRLs with ${Object.values(key).join('-')}`, async () => {
      const issuer = await issuerOf(new RemoteSigner(privateKey(key)));
      assert.ok(isSignedBy(issuer.certificate, issuer.certificate));
      assert.ok(isSignedBy(await leafOf(issuer).sign(), issuer.certificate));
      assert.ok(isCrlOf(await crlOf(issuer).sign(), issuer.certificate));
    });
  }

  test('is called once for a certificate that has passed its checks, and never before', async () => {
    const signer = new RemoteSigner(privateKey());
    const issuer = await issuerOf(signer);
    const prepared = leafOf(issuer);
    assert.equal(signer.asked.length, 0);
    const [leaf, again] = await Promise.allSettled([prepared.sign(), prepared.sign()]);
    assert.equal(leaf.status, 'fulfilled');
    assert.equal(again.status, 'rejected');
    assert.deepEqual(signer.asked, [prepared.fields]);
  });

  test('fails with SignerFailed and the reason when it cannot be reached', async () => {
    const signer = new RemoteSigner(privateKey());
    const issuer = await issuerOf(signer);
    signer.failure = new Error('the KMS does not answer');
    const prepared: Prepared<unknown>[] = [leafOf(issuer), crlOf(issuer), rootOf(signer)];
    for (const one of prepared) {
      await assert.rejects(one.sign(), {
        code: 'SignerFailed',
        cause: signer.failure,
        message: /the KMS does not answer$/,
      });
    }
  });

  test('issues nothing when it signs with the wrong key', async () => {
    const [own, other] = [privateKey(), privateKey()];
    const issuer = await issuerOf(new RemoteSigner(own));
    const wrong = { ...issuer, signer: new RemoteSigner(own, other) };
    const prepared: Prepared<unknown>[] = [leafOf(wrong), crlOf(wrong), rootOf(wrong.signer)];
    for (const one of prepared) await assert.rejects(one.sign(), { code: 'VerificationFailed' });
  });

  test('issues nothing when it returns garbage', async () => {
    const issuer = await issuerOf(new RemoteSigner(privateKey()));
    const prepared = leafOf(issuer);
    assert.throws(() => prepared.complete(Buffer.alloc(0)), { code: 'VerificationFailed' });
  });
});

test('a KeySigner does not reveal its key when it is printed or serialised', () => {
  const key = privateKey();
  const { d = '' } = key.export({ format: 'jwk' });
  const signer = new KeySigner(key);
  assert.deepEqual(Object.keys(signer).sort(), ['algorithm', 'publicKey']);
  for (const text of [JSON.stringify(signer), inspect(signer, { showHidden: true, depth: 9 })])
    assert.ok(!text.includes(d));
});
