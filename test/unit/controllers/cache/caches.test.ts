import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { secretKeysOf } from '../../../../src/controllers/objects/secret-names.ts';
import type { CertificateRecord, SecretRecord } from '../../../../src/plan/index.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import * as fc from '../../../support/properties.ts';

/** Names that are easily confused. */
const names = ['a', 'a-server-tls', 'a-client-tls', 'a-server-tls-client-tls', 'shared', '-server-tls'];
const name = fc.constantFrom(...names);
const namespace = fc.constantFrom('shop', 'other');
const role = fc.option(fc.record({ secretName: name }, { requiredKeys: [] }), { nil: undefined });

describe('lookups by default name and by chosen name', () => {
  const change = fc.record({ namespace, name, server: role, client: role, isGone: fc.boolean() });

  test('find the same claimants of a Secret as a search through all resources', () => {
    const { record } = certificate();
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
        const caches = new Caches(() => []);
        const { certificates } = caches;
        changes.forEach(({ isGone, server, client, ...ref }, i) => {
          const { server: _, ...spec } = record.spec;
          const requested = { ...spec, ...(server && { server }), ...(client && { client }) };
          const one: CertificateRecord = { ...record, ...ref, spec: requested, resourceVersion: String(i + 1) };
          if (isGone) certificates.observeDeleted(one, one.resourceVersion);
          else certificates.observe(one);
        });
        const keys = ['shop', 'other'].flatMap((ns) => names.map((secretName) => `${ns}/${secretName}`));
        for (const key of [...keys, ...keys.map((one) => `${one}-server-tls`)]) {
          const all = [...certificates.values()].filter((one) => secretKeysOf(one).includes(key));
          const found = caches.claimants(key);
          assert.deepEqual(new Set(found), new Set(all), key);
          assert.equal(found.length, all.length, key);
        }
      }),
    );
  });

  test('find the same Secrets of a resource as a search through all Secrets', () => {
    const [{ record }, known] = [certificate(), certificate().issuedBy(root()).secretRecord('server')];
    const secret = fc.record({ namespace, name, ownerName: fc.option(name, { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(secret, { maxLength: 20 }), (secrets) => {
        const caches = new Caches(() => []);
        secrets.forEach(({ ownerName, ...ref }, i) => {
          const { owner: _, ownerName: __, ...rest } = known;
          // Some are copies from the other namespace, with the UID of the resource there.
          const home = i % 5 === 0 ? 'other' : ref.namespace;
          const owned = ownerName === undefined ? {} : { owner: uidOf(home, ownerName), ownerName };
          const one: SecretRecord = { ...rest, ...ref, ...owned, resourceVersion: String(i + 1) };
          caches.secrets.observe(one);
        });
        for (const place of ['shop', 'other']) {
          for (const one of names) {
            const uid = uidOf(place, one);
            const inPlace = [...caches.secrets.values()].filter((secret) => secret.namespace === place);
            const all = inPlace.filter(({ owner }) => owner === uid);
            const found = caches.secretsOf({ ...record, namespace: place, name: one, uid });
            assert.deepEqual(new Set(found), new Set(all));
            assert.equal(found.length, all.length);
          }
        }
      }),
    );
  });
});

const uidOf = (place: string, owner: string): string => `uid of ${place}/${owner}`;
