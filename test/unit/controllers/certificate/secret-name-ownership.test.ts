import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { SecretNameOwnership } from '../../../../src/controllers/certificate/secret-name-ownership.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { orphaned } from '../../../support/fixtures/secret.ts';

const rootNamespace = 'mtls-operator';
const named = (name: string, uid: string, creationTimestamp = '2026-01-01T00:00:00Z'): CertificateFixture =>
  certificate()
    .with({ name, uid, creationTimestamp })
    .asking({ server: { service: 'a', secretName: 'shared' } });

const older = named('older', 'z', '2025-12-31T23:59:59Z');
const younger = named('younger', 'b');
const sameAge = named('same-age', 'a');

function claimsOf(...fixtures: readonly CertificateFixture[]): SecretNameOwnership {
  const caches = new Caches(() => []);
  fixtures.forEach(({ record }, i) => caches.certificates.observe({ ...record, resourceVersion: String(i + 1) }));
  caches.authorities.observe(authority());
  return new SecretNameOwnership(caches, rootNamespace);
}

const ownedBy = (fixture: CertificateFixture) => fixture.issuedBy(root()).secretRecord('server');

describe('the name of a Secret', () => {
  test('belongs to its only claimant', () => {
    assert.equal(claimsOf(older).holder(older.record, 'shared', undefined), undefined);
  });

  test('belongs to the oldest of several claimants, and among those of the same second to the first by UID', () => {
    const secretNames = claimsOf(younger, older, sameAge);
    assert.equal(secretNames.holder(older.record, 'shared', undefined), undefined);
    assert.equal(secretNames.holder(younger.record, 'shared', undefined), 'MtlsCertificate older');
    assert.equal(secretNames.holder(sameAge.record, 'shared', undefined), 'MtlsCertificate older');
    const two = claimsOf(younger, sameAge);
    assert.equal(two.holder(sameAge.record, 'shared', undefined), undefined);
    assert.equal(two.holder(younger.record, 'shared', undefined), 'MtlsCertificate same-age');
  });

  test('is free if the older claimant is being deleted and has no Secret', () => {
    const ending = older.with({ deleting: true });
    const secretNames = claimsOf(younger, ending);
    assert.equal(secretNames.holder(younger.record, 'shared', undefined), undefined);
    assert.equal(secretNames.holder(younger.record, 'shared', ownedBy(ending)), 'MtlsCertificate older');
  });

  test('belongs to exactly one claimant, in whatever order they ask', () => {
    const all = [younger, older, sameAge];
    for (const order of [all, all.toReversed()]) {
      const holders = all.filter(({ record }) => claimsOf(...order).holder(record, 'shared', undefined) === undefined);
      assert.deepEqual(holders, [older]);
    }
  });

  test('stays with the younger claimant that has the Secret', () => {
    const secretNames = claimsOf(younger, older);
    assert.equal(secretNames.holder(younger.record, 'shared', ownedBy(younger)), undefined);
    assert.equal(secretNames.holder(older.record, 'shared', ownedBy(younger)), 'MtlsCertificate younger');
  });

  test('stays with the resource that a Secret without a controller names', () => {
    const secretNames = claimsOf(younger, older);
    const secret = secretRecord(orphaned(younger.issuedBy(root()).secret('server')), []);
    assert.equal(secretNames.holder(younger.record, 'shared', secret), undefined);
    assert.equal(secretNames.holder(older.record, 'shared', secret), 'MtlsCertificate younger');
  });

  test('of a root Secret belongs to its authority, even if a resource owns the Secret', () => {
    const impostor = certificate()
      .inNamespace(rootNamespace)
      .asking({ server: { service: 'a', secretName: 'mtls-root' } });
    const secretNames = claimsOf(impostor);
    assert.equal(secretNames.holder(impostor.record, 'mtls-root', undefined), 'MtlsAuthority default');
    assert.equal(secretNames.holder(impostor.record, 'mtls-root', ownedBy(impostor)), 'MtlsAuthority default');
  });

  test('of a root Secret is free in every other namespace', () => {
    const other = certificate().asking({ server: { service: 'a', secretName: 'mtls-root' } });
    assert.equal(claimsOf(other).holder(other.record, 'mtls-root', undefined), undefined);
  });

  test('that is the default of a resource is free if that resource names another Secret, or has no such role', () => {
    const { server: _, ...rest } = certificate().record.spec;
    const client = certificate().with({ name: 'older', uid: 'a', spec: { ...rest, client: { serviceAccount: 'a' } } });
    const others = [named('older', 'a'), client];
    const taker = certificate()
      .with({ name: 'younger', uid: 'b' })
      .asking({ server: { service: 'a', secretName: 'older-server-tls' } });
    for (const other of others) {
      assert.equal(claimsOf(other, taker).holder(taker.record, 'older-server-tls', undefined), undefined);
    }
    const byDefault = certificate().with({ name: 'older', uid: 'a' });
    const holder = claimsOf(byDefault, taker).holder(taker.record, 'older-server-tls', undefined);
    assert.equal(holder, 'MtlsCertificate older');
  });

  test('is free in another namespace', () => {
    const elsewhere = named('older', 'c').inNamespace('other');
    assert.equal(claimsOf(older, elsewhere).holder(elsewhere.record, 'shared', undefined), undefined);
  });
});
