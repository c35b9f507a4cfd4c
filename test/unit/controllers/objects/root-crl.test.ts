import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { publishedCrls, revocationReader, revocationState } from '../../../../src/controllers/objects/root-crl.ts';
import { configMaps, type Secret } from '../../../../src/kube/index.ts';
import { isCrlOf, parseCrls } from '../../../../src/pki/index.ts';
import { planCrls } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';
import { crlDataNow } from '../../../support/sign.ts';
import { MemoryApi } from '../world/memory-api.ts';

const signer = root();

/** A root Secret with CRLs that list these serial numbers. */
function listing(...serialNumbers: readonly string[]): Secret {
  const revoked = serialNumbers.map((serialNumber) => {
    return { serialNumber, revokedAt: now, notAfter: later(days(1)), issuer: issuerIdOf(signer) };
  });
  const plan = planCrls({ crls: [], revocations: [] }, [signer], revoked, now);
  assert.ok(plan !== undefined);
  return { metadata: { name: 'mtls-root' }, data: crlDataNow(plan, [signer]) };
}

describe('the revocation state of a root Secret', () => {
  const [one, two] = [listing('1a'), listing('1a', '2b')];

  test('is parsed once while its data stays the same', () => {
    const read = revocationReader();
    const first = read(one);
    assert.deepEqual(first, revocationState(one));
    assert.equal(read(structuredClone(one)), first);
    assert.equal(read({ ...one, metadata: { name: 'mtls-root', resourceVersion: '2' } }), first);
  });

  test('is parsed again when any of the data changes, and for each Secret separately', () => {
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

test('each CRL is signed with the key of its own CA, in whatever order the signers are given', () => {
  const other = root({ name: 'Other' });
  const plan = planCrls({ crls: [], revocations: [] }, [signer, other], [], now);
  assert.ok(plan !== undefined);
  for (const signers of [
    [signer, other],
    [other, signer],
  ]) {
    const text = Buffer.from(crlDataNow(plan, signers)['ca.crl'] ?? '', 'base64').toString();
    const lists = parseCrls(text);
    assert.deepEqual(
      [signer, other].map(({ certificate }, i) => lists[i] !== undefined && isCrlOf(lists[i], certificate)),
      [true, true],
    );
  }
  assert.equal(parseCrls(Buffer.from(crlDataNow(plan, [other])['ca.crl'] ?? '', 'base64').toString()).length, 1);
});

describe('the CRLs that an authority has published', () => {
  const never = new AbortController().signal;
  const publishing = authority({
    spec: {
      ...authority().spec,
      trustBundle: { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: false },
    },
  });
  const crls = Buffer.from(listing('1a').data?.['ca.crl'] ?? '', 'base64').toString();
  const owner = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority', name: 'default' };
  const own = { ...owner, uid: 'authority-uid', controller: true };
  const inOwnNamespace = { namespace: 'mtls-operator', name: 'trust', ownerReferences: [own] };
  const rows: Record<string, { publisher?: typeof publishing; metadata?: object; data?: object; found: boolean }> = {
    'are those in its ConfigMap in the operator’s namespace': { found: true },
    'are none if it does not publish any': { publisher: authority(), found: false },
    'are not read from a ConfigMap in another namespace': { metadata: { namespace: 'shop' }, found: false },
    'are not read from a ConfigMap with another name': { metadata: { name: 'other' }, found: false },
    'are not read from a ConfigMap without an owner': { metadata: { ownerReferences: [] }, found: false },
    'are not read from a ConfigMap of another authority': {
      metadata: { ownerReferences: [{ ...own, uid: 'other-uid' }] },
      found: false,
    },
    'are not read from a ConfigMap that it owns but another object controls': {
      metadata: {
        ownerReferences: [
          { ...own, controller: false },
          { ...own, uid: 'other-uid' },
        ],
      },
      found: false,
    },
    'are none if they cannot be parsed': { data: { 'ca.crl': 'x' }, found: false },
    'are none if the ConfigMap has none yet': { data: {}, found: false },
  };
  for (const [title, { publisher = publishing, metadata = {}, data = { 'ca.crl': crls }, found }] of Object.entries(
    rows,
  )) {
    test(title, async () => {
      const api = new MemoryApi();
      await api.create(configMaps, { metadata: { ...inOwnNamespace, ...metadata }, data } as never);
      const read = await publishedCrls(api.client, 'mtls-operator', publisher, never);
      assert.deepEqual(
        read.map(({ der }) => der),
        found ? parseCrls(crls).map(({ der }) => der) : [],
      );
    });
  }
});
