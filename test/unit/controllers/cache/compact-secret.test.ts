import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { compactSecret, compactSecretForm } from '../../../../src/controllers/cache/compact-secret.ts';
import { knownContent, secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { Store } from '../../../../src/kube/index.ts';
import type { Certificate, LeafRecord } from '../../../../src/pki/index.ts';
import type { CachedSecret, SecretContent, SecretRecord } from '../../../../src/plan/index.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import * as fc from '../../../support/properties.ts';

// Few values for each field, so that records share much and differ in little.
const text = fc.constantFrom('', 'a', 'b', '"\n\u0000é', '__proto__');
const moment = fc.constantFrom(0, 1000, 1_772_000_000_000).map((ms) => new Date(ms));
const marks = fc.dictionary(fc.constantFrom('x', 'y', labels.certificate), text, { noNullPrototype: true });
const notes = fc.dictionary(fc.constantFrom('x', annotations.secretName, annotations.certificateUid), text, {
  noNullPrototype: true,
});
const leaf: fc.Arbitrary<LeafRecord> = fc
  .record({
    own: fc.record({
      fingerprint: text,
      serialNumber: text,
      notBefore: moment,
      notAfter: moment,
      profile: text,
      publicKey: text,
      keyKind: text,
      keyEncoding: fc.constantFrom('PKCS8' as const, 'SEC1' as const),
    }),
    unresolved: fc.option(fc.array(text)),
    above: fc.option(fc.record({ root: text, issuer: text, issuerNotBefore: moment, issuerNotAfter: moment })),
  })
  .map(({ own, above, unresolved }) => ({
    ...own,
    ...above,
    ...(unresolved && { unresolved }),
  }));
const content: fc.Arbitrary<SecretContent> = fc.oneof(
  fc.record({ leaf, bundle: text, digest: text }, { requiredKeys: ['leaf'], noNullPrototype: true }),
  fc.record(
    { problem: text, publicKey: text, restorable: leaf, bundle: text, digest: text },
    { requiredKeys: ['problem'], noNullPrototype: true },
  ),
);
const record: fc.Arbitrary<SecretRecord> = fc.record(
  {
    namespace: text,
    name: text,
    uid: text,
    resourceVersion: text,
    controller: fc.constantFrom('certificate' as const, 'other' as const, 'none' as const),
    owner: text,
    ownerName: text,
    deleting: fc.constant(true as const),
    writable: fc.boolean(),
    labels: marks,
    annotations: notes,
    content,
    modifiedByOthers: fc.constant(true as const),
    changedAtMs: fc.constantFrom(Number.NEGATIVE_INFINITY, 0, 12.5),
  },
  {
    requiredKeys: [
      'namespace',
      'name',
      'uid',
      'resourceVersion',
      'controller',
      'writable',
      'labels',
      'annotations',
      'content',
      'changedAtMs',
    ],
    noNullPrototype: true,
  },
);

describe('the compact record of a Secret', () => {
  test('is read back unchanged, whatever it shares with other records', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 10 }), (records) => {
        const kept = records.map((one) => compactSecret.keep(one));
        assert.deepEqual(
          kept.map((one) => compactSecret.read(one)),
          records,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('shares everything with the record of another Secret except its own fields', () => {
    const signer = root();
    const [one, other] = ['payments', 'orders'].map((name) =>
      compactSecret.keep(
        certificate()
          .with({ name, uid: `uid of ${name}` })
          .issuedBy(signer)
          .secretRecord('server'),
      ),
    );
    assert.ok(one !== undefined && other !== undefined);
    assert.equal(one.common, other.common);
    assert.notEqual(one.own, other.own);
  });
});

test('a leaf whose root becomes known after its Secret was read gets the root in every later read from the cache', () => {
  const signer = root();
  const known: Certificate[] = [];
  const store = new Store<CachedSecret>({ form: compactSecretForm(() => known) });
  const fixture = certificate().issuedBy(signer);
  const observed = secretRecord(fixture.secret('server'), []);
  store.observe(observed);
  const read = () => store.get('shop/payments-server-tls');
  assert.deepEqual(read(), observed);
  known.push(signer.anchor);
  assert.deepEqual(read(), secretRecord(fixture.secret('server'), [signer.anchor]));
  known.pop();
  assert.deepEqual(read(), observed, 'the root is not stored');
});

test('a leaf with an unknown root is verified once for each set of roots, however often it is read or written', () => {
  const signer = root();
  const fixture = certificate().issuedBy(signer);
  let verified = 0;
  // With the subject of the leaf’s issuer, so that only the signature shows that it is another root.
  const counting = (): Certificate => {
    const { publicKey, subjectKeyId: _, ...other } = root().certificate;
    return Object.defineProperty({ ...other, subject: signer.certificate.subject } as Certificate, 'publicKey', {
      get() {
        verified += 1;
        return publicKey;
      },
    });
  };
  const known = [counting()];
  const store = new Store<CachedSecret>({ form: compactSecretForm(() => known) });
  const secret = fixture.secret('server');
  store.observe(secretRecord(secret, known));
  assert.equal(verified, 1);
  const read = () => {
    for (let i = 0; i < 5; i += 1) store.get('shop/payments-server-tls');
  };
  read();
  assert.equal(verified, 1);
  known.push(counting());
  read();
  assert.equal(verified, 3, 'both roots have that name');
  const annotated = { ...secret, metadata: { ...secret.metadata, resourceVersion: '21' } };
  store.observe(secretRecord(annotated, known, knownContent(annotated, store.get('shop/payments-server-tls'))));
  read();
  assert.equal(verified, 3, 'the same content');
});
