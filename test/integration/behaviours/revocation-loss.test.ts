import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Crl } from '../../../src/pki/index.ts';
import { base64, paths, type Secret } from '../../support/api.ts';
import { serialsOn } from '../../support/crl/lists.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation, type Tenant } from '../../support/installation.ts';
import { filesOf } from '../../support/roots/corpus.ts';
import { makeCa } from '../../support/roots/make.ts';

const world = installation();

interface Revoked {
  readonly name: string;
  readonly tenant: Tenant;
  /** The revoked serial number. */
  readonly serial: string;
  readonly crl: Crl;
  /** The data of the root Secret before the revocation. */
  readonly backup: Secret['data'];
}

/** Creates an authority with one revoked certificate. */
async function revoked(trustBundle?: object): Promise<Revoked> {
  const name = await world.ownAuthority({ rotation: { propagationDelay: '300ms' }, trustBundle });
  const tenant = await world.tenantWith('loss', { authorityRef: { name }, server: { service: 'db' } });
  const { data: backup } = await world.rootSecret(name);
  const { server: serial = '' } = await tenant.serials('db');
  await tenant.revoke('db', 'incident-1');
  const [crl] = await world.crls(name);
  assert.ok(crl !== undefined);
  assert.deepEqual(serialsOn([crl]), [serial]);
  return { name, tenant, serial, crl, backup };
}

const listsAre = (name: string, expected: (lists: readonly Crl[]) => void): Promise<void> =>
  eventually(async () => expected(await world.crls(name)), { timeoutMs: 60_000 });

describe('revoked certificates stay on the CRL, and its number does not decrease', () => {
  // If these fail, the CRL is signed from the Secret alone, and the stolen certificate is valid again.
  test('when a client removes the CRLs from the root Secret', async () => {
    const { name, serial, crl } = await revoked();
    await world.api.patch(paths.rootSecret(name), { data: { 'ca.crl': null, 'revoked.json': null } });
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
  });

  test('when a client restores an older root Secret', async () => {
    const { name, serial, crl, backup } = await revoked();
    await world.api.patch(paths.rootSecret(name), { data: backup });
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
  });

  test('when the root Secret loses its CRL while no operator runs, if the CRL is published', async () => {
    const { name, serial, crl, tenant, backup } = await revoked({ configMap: { name: 'trust' } });
    await eventually(async () => {
      assert.deepEqual(serialsOn(await tenant.crls('trust')), [serial]);
    });
    await world.restart(() => world.api.patch(paths.rootSecret(name), { data: backup }));
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
    await tenant.rotate('db', 'later');
    await tenant.ready('db');
    assert.deepEqual(serialsOn(await tenant.crls('trust')), [serial]);
  });

  test('when the root Secret is deleted and the operator creates a new root, as long as the old root is trusted', async () => {
    const { name, serial, tenant } = await revoked();
    await world.api.delete(paths.rootSecret(name));
    await listsAre(name, (lists) => {
      assert.ok(lists.length >= 2, 'the new root must have a CRL, too');
      assert.deepEqual(serialsOn(lists), [serial]);
    });
    await tenant.ready('db');
  });

  test('when a user adds a serial number to revoked.json', async () => {
    const { name, serial, tenant } = await revoked();
    const { data } = await world.rootSecret(name);
    const record = JSON.parse(Buffer.from(data?.['revoked.json'] ?? '', 'base64').toString()) as {
      readonly issuers: Readonly<Record<string, { readonly revoked: unknown[] }>>;
    };
    const { issuerId = '', serialNumber = '' } = (await tenant.get('db')).status?.secrets?.[0] ?? {};
    const [revokedAt, notAfter] = [0, 100].map((days) => new Date(Date.now() + days * 24 * 3_600_000).toISOString());
    record.issuers[issuerId]?.revoked.push([serialNumber, revokedAt, notAfter]);
    const text = base64(JSON.stringify(record));
    await world.api.patch(paths.rootSecret(name), { data: { 'revoked.json': text } });
    await listsAre(name, (lists) => assert.deepEqual(serialsOn(lists), [serial, serialNumber].sort()));
    assert.equal((await tenant.serials('db'))['server'], serialNumber, 'the operator must not replace the certificate');
  });
});

/** The bit of keyCertSign in the key usage. That of cRLSign is 6. */
const keyCertSign = 5;

test('a root without cRLSign cannot handle a revocation request, and the condition says so', async () => {
  const name = await world.ownAuthority({}, { ...filesOf(makeCa({ usage: [keyCertSign] })) });
  const tenant = await world.tenantWith('no-lists', { authorityRef: { name }, server: { service: 'db' } });
  const before = await tenant.serials('db');
  await tenant.askToRevoke('db', 'incident-1');
  await eventually(async () => {
    const certificate = await tenant.get('db');
    const issuing = conditionOf(certificate, 'Issuing');
    assert.equal(issuing?.reason, 'CrlUnavailable');
    assert.match(issuing?.message ?? '', /cannot be revoked: .* lacks cRLSign; .* set the annotation rotate/);
    assert.equal(certificate.status?.lastHandledRevoke, undefined);
  });
  const annotations = { 'mtls-operator.io/revoke': null, 'mtls-operator.io/rotate': 'incident-1' };
  await tenant.patch('db', { metadata: { annotations } });
  await tenant.ready('db');
  assert.notEqual((await tenant.serials('db'))['server'], before['server']);
});
