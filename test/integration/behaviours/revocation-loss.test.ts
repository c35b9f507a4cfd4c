import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Crl } from '../../../src/pki/index.ts';
import { paths, type Secret } from '../../support/behaviours/api.ts';
import { type Installation, install, operatorNamespace, type Tenant } from '../../support/behaviours/installation.ts';
import { eventually } from '../../support/eventually.ts';
import {
  askToRevoke,
  crlsInConfigMap,
  crlsInRootSecret,
  revoke,
  revokeAnnotation,
  serialsOf,
  serialsOn,
} from '../../support/revocation/revoking.ts';
import { filesOf } from '../../support/roots/corpus.ts';
import { makeCa } from '../../support/roots/make.ts';

let world: Installation;
before(async () => {
  world = await install();
  await world.start();
});
after(() => world.end());

let authorities = 0;

interface Revoked {
  readonly name: string;
  readonly tenant: Tenant;
  /** The serial number that is on the CRL. */
  readonly serial: string;
  readonly crl: Crl;
  /** The data of the root Secret before anything was revoked. */
  readonly backup: Secret['data'];
}

/** An authority of its own with one revoked certificate. */
async function revoked(trustBundle?: object): Promise<Revoked> {
  const name = `loss-${++authorities}`;
  const rotation = { propagationDelay: '300ms' };
  await world.createAuthority(name, { secretName: name, root: {}, rotation, trustBundle });
  const tenant = await world.tenant('loss');
  await tenant.create('db', { authorityRef: { name }, server: { service: 'db' } });
  await tenant.ready('db');
  const { data: backup } = await world.api.get<Secret>(rootSecret(name));
  const { server: serial = '' } = await serialsOf(tenant, 'db');
  await revoke(tenant, 'db', 'incident-1');
  const [crl] = await crlsInRootSecret(world.api, name);
  assert.ok(crl !== undefined);
  assert.deepEqual(serialsOn([crl]), [serial]);
  return { name, tenant, serial, crl, backup };
}

const rootSecret = (name: string): string => paths.secrets(operatorNamespace, name);

const listsAre = (name: string, expected: (lists: readonly Crl[]) => void): Promise<void> =>
  eventually(async () => expected(await crlsInRootSecret(world.api, name)), { timeoutMs: 60_000 });

describe('what was revoked stays on the CRL, under a number that does not go back', () => {
  // Broken if these fail: the list is signed anew from what is in the Secret, and the thief's certificate is good again.
  test('when somebody takes the lists out of the root Secret', async () => {
    const { name, serial, crl } = await revoked();
    await world.api.patch(rootSecret(name), { data: { 'ca.crl': null, 'revoked.json': null } });
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
  });

  test('when somebody puts back a root Secret from before', async () => {
    const { name, serial, crl, backup } = await revoked();
    await world.api.patch(rootSecret(name), { data: backup });
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
  });

  test('when there is a published list, and the root Secret loses its own while no operator looks', async () => {
    const { name, serial, crl, tenant, backup } = await revoked({ configMap: { name: 'trust' } });
    await eventually(async () => {
      assert.deepEqual(serialsOn(await crlsInConfigMap(world.api, tenant.namespace, 'trust')), [serial]);
    });
    await world.restart(() => world.api.patch(rootSecret(name), { data: backup }));
    await listsAre(name, (lists) => {
      assert.deepEqual(serialsOn(lists), [serial]);
      assert.ok((lists[0]?.number ?? 0n) >= crl.number);
    });
    await tenant.rotate('db', 'later');
    await tenant.ready('db');
    assert.deepEqual(serialsOn(await crlsInConfigMap(world.api, tenant.namespace, 'trust')), [serial]);
  });

  test('when the root Secret is deleted and another root made, as long as the old one is trusted', async () => {
    const { name, serial, tenant } = await revoked();
    await world.api.delete(rootSecret(name));
    await listsAre(name, (lists) => {
      assert.ok(lists.length >= 2, 'the new root has a list as well');
      assert.deepEqual(serialsOn(lists), [serial]);
    });
    await tenant.ready('db');
  });

  test('when a person writes a serial number into revoked.json', async () => {
    const { name, serial, tenant } = await revoked();
    const { data } = await world.api.get<Secret>(rootSecret(name));
    const record = JSON.parse(Buffer.from(data?.['revoked.json'] ?? '', 'base64').toString()) as {
      readonly issuers: Readonly<Record<string, { readonly revoked: unknown[] }>>;
    };
    const { issuerId = '', serialNumber = '' } = (await tenant.get('db')).status?.secrets?.[0] ?? {};
    record.issuers[issuerId]?.revoked.push([serialNumber, new Date().toISOString(), '2027-12-01T00:00:00Z']);
    const text = Buffer.from(JSON.stringify(record)).toString('base64');
    await world.api.patch(rootSecret(name), { data: { 'revoked.json': text } });
    await listsAre(name, (lists) => assert.deepEqual(serialsOn(lists), [serial, serialNumber].sort()));
    assert.equal((await serialsOf(tenant, 'db'))['server'], serialNumber, 'it is left to the person to replace it');
  });
});

/** Bit of the key usage; that of cRLSign is 6. */
const keyCertSign = 5;

test('a root that may not sign CRLs answers no request to revoke, and says so', async () => {
  await world.bringRoot('no-lists', { ...filesOf(makeCa({ usage: [keyCertSign] })) });
  await world.createAuthority('no-lists', { secretName: 'no-lists' });
  const tenant = await world.tenant('no-lists');
  await tenant.create('db', { authorityRef: { name: 'no-lists' }, server: { service: 'db' } });
  await tenant.ready('db');
  const before = await serialsOf(tenant, 'db');
  await askToRevoke(tenant, 'db', 'incident-1');
  await eventually(async () => {
    const { status } = await tenant.get('db');
    const issuing = status?.conditions?.find(({ type }) => type === 'Issuing');
    assert.equal(issuing?.reason, 'CrlUnavailable');
    assert.match(issuing?.message ?? '', /cannot be revoked: .* lacks cRLSign; .* use rotate/);
    assert.equal(status?.lastHandledRevoke, undefined);
  });
  const annotations = { [revokeAnnotation]: null, 'mtls-operator.io/rotate': 'incident-1' };
  await tenant.patch('db', { metadata: { annotations } });
  await tenant.ready('db');
  assert.notEqual((await serialsOf(tenant, 'db'))['server'], before['server']);
});
