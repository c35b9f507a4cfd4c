import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crlData, revocationReader, revocationState } from '../../../src/controllers/root-crl.ts';
import type { Secret } from '../../../src/kube/index.ts';
import { planCrls } from '../../../src/plan/index.ts';
import { days, issuerIdOf, later, now, root } from '../../support/fixtures.ts';

const signer = root();

/** A root Secret with CRLs on which these are. */
function listing(...serialNumbers: readonly string[]): Secret {
  const asked = serialNumbers.map((serialNumber) => {
    return { serialNumber, revokedAt: now, notAfter: later(days(1)), issuer: issuerIdOf(signer) };
  });
  const plan = planCrls({ crls: [], revocations: [] }, [signer], asked, now);
  assert.ok(plan !== undefined);
  return { metadata: { name: 'mtls-root' }, data: crlData(plan, [signer]) };
}

describe('what a root Secret says of revocation', () => {
  const [one, two] = [listing('1a'), listing('1a', '2b')];

  test('is read once for as long as it says the same', () => {
    const read = revocationReader();
    const first = read(one);
    assert.deepEqual(first, revocationState(one));
    assert.equal(read(structuredClone(one)), first);
    assert.equal(read({ ...one, metadata: { name: 'mtls-root', resourceVersion: '2' } }), first);
  });

  test('is read anew when any of it differs, and for each Secret on its own', () => {
    const read = revocationReader();
    const serials = (secret: Secret) => read(secret).revocations.map(({ serialNumber }) => serialNumber);
    const other = { ...two, metadata: { name: 'other' } };
    assert.deepEqual([one, two, other, one].map(serials), [['1a'], ['1a', '2b'], ['1a', '2b'], ['1a']]);
    const { 'ca.crl': _, ...forgotten } = one.data ?? {};
    assert.deepEqual(read({ ...one, data: forgotten }).crls, []);
    assert.deepEqual(read({ ...one, data: {} }), { crls: [], revocations: [], issuers: [] });
    assert.deepEqual(read(undefined), { crls: [], revocations: [] });
  });
});
