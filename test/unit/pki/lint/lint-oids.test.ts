/** Plants one wrong object identifier at a time into the table of the code that writes certificates. The lint must refuse it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { oids } from '../../../../src/pki/asn1/oid.ts';
import type * as Pki from '../../../../src/pki/index.ts';
import type { KeySpec, SubjectAltNames } from '../../../../src/pki/index.ts';
import * as lintTable from '../../../../src/pki/lint/lint-oids.ts';
import { now } from '../../../support/fixtures/times.ts';

const extensions = Object.values(lintTable.extensionNames);
const purposes = Object.values(lintTable.purposes);
const attributes = [
  'commonName',
  'serialNumber',
  'country',
  'locality',
  'province',
  'streetAddress',
  'organization',
  'organizationalUnit',
  'postalCode',
] as const;
const rsa = ['sha256WithRsa', 'sha384WithRsa', 'sha512WithRsa'] as const;
const signers: Record<string, KeySpec> = {
  ecdsaWithSha256: { algorithm: 'ECDSA', size: 256 },
  ecdsaWithSha384: { algorithm: 'ECDSA', size: 384 },
  ecdsaWithSha512: { algorithm: 'ECDSA', size: 521 },
  sha256WithRsa: { algorithm: 'RSA', size: 2048 },
  ed25519: { algorithm: 'Ed25519' },
};

test('the tables of encoder and lint agree', () => {
  const byName = (table: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(table).map(([id, name]) => [name, id]));
  const known: Readonly<Record<string, string>> = oids;
  for (const [name, id] of Object.entries({ ...byName(lintTable.extensionNames), ...byName(lintTable.purposes) })) {
    assert.equal(known[name], id, name);
  }
  assert.deepEqual(new Set(Object.keys(lintTable.attributes)), new Set(attributes.map((name) => oids[name])));
  assert.equal(lintTable.countryName, oids.country);
  assert.deepEqual(
    Object.values(lintTable.signatures),
    ['ecdsaWithSha256', 'ecdsaWithSha384', 'ecdsaWithSha512', 'ed25519'].map((name) => known[name]),
  );
  assert.deepEqual(
    lintTable.rsaSignatures.map(({ id }) => id),
    rsa.map((name) => oids[name]).toReversed(),
  );
});

/** Loads src/pki with a changed identifier in oid.ts. */
const hooks = registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const planted = new URL(context.parentURL ?? 'file:///').searchParams.get('planted');
    if (planted === null || !specifier.startsWith('.')) return found;
    return { ...found, url: `${found.url}?planted=${planted}` };
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const planted = new URL(url).searchParams.get('planted');
    if (planted === null || !url.includes('/oid.ts?')) return loaded;
    const source = readFileSync(fileURLToPath(url), 'utf8');
    const wrong = source.replace(new RegExp(`^( +${planted}: '[^']+)'`, 'm'), "$1.9'");
    assert.notEqual(wrong, source);
    return { ...loaded, source: wrong };
  },
});
after(() => hooks.deregister());

const withWrong = (name: string): Promise<typeof Pki> =>
  import(new URL(`../../../../src/pki/index.ts?planted=${name}`, import.meta.url).href) as Promise<typeof Pki>;

/** Prepares a leaf with every extension, usage and attribute of the profile. */
async function prepareLeafOf(pki: typeof Pki, signer: KeySpec): Promise<void> {
  const key = await pki.generatePrivateKey(signer);
  const context = { now, serialSeed: new Uint8Array(20) };
  const rootSigner = new pki.KeySigner(key);
  const root = await pki.prepareRoot({ subject: { commonName: 'Root' }, durationMs: 1e9 }, rootSigner, context).sign();
  const names: SubjectAltNames = {
    dnsNames: ['a.example.org'],
    ipAddresses: [],
    uris: [],
    emailAddresses: [],
    otherNames: [],
  };
  const subject = {
    commonName: 'a',
    serialNumber: '1',
    countries: ['DE'],
    localities: ['l'],
    provinces: ['p'],
    streetAddresses: ['s'],
    organizations: ['o'],
    organizationalUnits: ['u'],
    postalCodes: ['c'],
  };
  const usages = ['codeSigning', 'emailProtection', 'ipsecIKE'] as const;
  const leafKey = await pki.generatePrivateKey({ algorithm: 'ECDSA', size: 256 });
  const issuer = { certificate: root, signer: rootSigner, intermediates: [], anchor: root };
  pki.prepareLeaf({ role: 'peer', subject, names, usages, durationMs: 1e8 }, leafKey, issuer, context);
}

describe('the lint refuses a leaf with a wrong identifier of', () => {
  for (const name of [...extensions, ...purposes, ...attributes]) {
    test(name, async () => {
      const pki = await withWrong(name);
      await assert.rejects(prepareLeafOf(pki, { algorithm: 'ECDSA', size: 256 }), { code: 'ProfileViolation' });
    });
  }
  for (const [name, signer] of Object.entries(signers)) {
    test(`${name} as its signature algorithm`, async () => {
      const pki = await withWrong(name);
      await assert.rejects(prepareLeafOf(pki, signer), { code: 'ProfileViolation' });
    });
  }
  test('nothing, so that an unchanged leaf passes', async () => {
    for (const signer of Object.values(signers)) await prepareLeafOf(await withWrong('anyExtendedKeyUsage'), signer);
  });
});
