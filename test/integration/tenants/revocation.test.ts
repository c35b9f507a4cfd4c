import assert from 'node:assert/strict';

import { describe, test } from 'node:test';

import { base64, operatorNamespace, paths } from '../../support/api.ts';
import { serialsOn } from '../../support/crl/lists.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation, type Tenant } from '../../support/installation.ts';

const world = installation({ args: ['--workers=4'] });

/**
 * Creates an authority with a ConfigMap `trust-NAME` in the operator's namespace and in namespaces labelled with its name.
 */
async function authority(name: string, spec: object = {}): Promise<void> {
  await world.createAuthority(name, { secretName: name, root: {}, ...spec });
  await world.publishTrust(name);
  await world.tenantOf(operatorNamespace).trust(name);
}

/** A new namespace with a Ready server of an authority. */
async function serverOf(name: string, prefix = 'victim'): Promise<Tenant> {
  const tenant = await world.tenant(prefix);
  await tenant.issue('db', { authorityRef: { name }, server: { service: 'db' } });
  return tenant;
}

/** A new authority with a Ready server, and the serial number of its certificate. */
async function victimOf(name: string): Promise<{ victim: Tenant; serial: string }> {
  await authority(name);
  const victim = await serverOf(name);
  return { victim, serial: (await victim.serials('db'))['server'] ?? '' };
}

const listed = async (name: string): Promise<readonly string[]> => serialsOn(await world.crls(name));

describe('a restored CRL', () => {
  // A failure means: a user who may write ConfigMaps in one namespace decides which of its CRLs the operator finds, and a
  // stolen certificate is accepted again.
  test('comes from the operator’s namespace, whatever ConfigMaps exist in another namespace', async () => {
    await authority('restored');
    const { uid } = (await world.authority('restored')).metadata;
    const victim = await serverOf('restored');
    const { data: backup } = await world.rootSecret('restored');
    const { server: serial = '' } = await victim.serials('db');
    await victim.revoke('db', 'incident-1');
    await eventually(async () => {
      assert.deepEqual(serialsOn(await world.tenantOf(operatorNamespace).crls('trust-restored')), [serial]);
    });
    const attacker = await world.tenant('aaa');
    await world.restart(async () => {
      for (let i = 0; i < 10; i += 1) {
        const forged = {
          name: `forged-${i}`,
          namespace: attacker.namespace,
          labels: { 'app.kubernetes.io/managed-by': 'mtls-operator', 'mtls-operator.io/authority': 'restored' },
          ownerReferences: [
            { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority', name: 'restored', uid, controller: true },
          ],
        };
        await world.api.create(paths.configMaps(attacker.namespace), { metadata: forged, data: { 'ca.crl': '' } });
      }
      await world.api.patch(paths.rootSecret('restored'), { data: backup });
    });
    // The CRL in the backup is valid. Only its number and entries show that it is old.
    await eventually(async () => assert.deepEqual(await listed('restored'), [serial]));
  });
});

describe('annotations that a tenant writes on a Secret', () => {
  const note = (verb: 'revoke' | 'rotate', token: string) => ({
    metadata: { annotations: { [`mtls-operator.io/${verb}`]: token } },
  });

  // A failure means: a user who waits for lastHandledRevoke believes that peers refuse a certificate that they accept.
  test('do not count as a handled revocation', async () => {
    const { victim, serial } = await victimOf('noted');
    await victim.patchSecret('db-server-tls', note('revoke', 'incident-7'));
    await victim.revoke('db', 'incident-7');
    assert.deepEqual(await listed('noted'), [serial]);
    assert.notEqual((await victim.serials('db'))['server'], serial);
  });

  test('do not count as a handled revocation next to the certificate of another resource', async () => {
    const { victim, serial } = await victimOf('swapped');
    // The owner of a namespace may copy another certificate of the authority there, with an annotation for the later
    // request. The operator sees it next to a status that does not have the certificate, as after a crash between two
    // writes.
    await victim.issue('twin', { authorityRef: { name: 'swapped' }, server: { service: 'db' } });
    const { data } = await victim.secret('twin-server-tls');
    await world.restart(async () => {
      await victim.patchSecret('db-server-tls', { ...note('revoke', 'incident-8'), data });
      await victim.askToRevoke('db', 'incident-8');
    });
    await victim.revocationIsHandled('db', 'incident-8');
    assert.ok((await listed('swapped')).includes(serial));
  });

  test('do not count as a handled rotation', async () => {
    const { victim, serial } = await victimOf('rotated');
    await victim.patchSecret('db-server-tls', note('rotate', 'in-a-hurry'));
    await victim.rotate('db', 'in-a-hurry');
    await victim.ready('db');
    assert.notEqual((await victim.serials('db'))['server'], serial);
  });
});

/** Entries for the record in a root Secret: serial numbers of no certificate, for ten years, requested by a namespace. */
function entriesOf(count: number, namespace?: string): string[][] {
  const revokedAt = new Date(Date.now() - 3_600_000).toISOString();
  const notAfter = new Date(Date.now() + 3650 * 24 * 3_600_000).toISOString();
  return Array.from({ length: count }, (_, i) => [
    `7${(i + 1).toString(16).padStart(39, '0')}`,
    revokedAt,
    notAfter,
    ...(namespace === undefined ? [] : [namespace]),
  ]);
}

/** Adds these entries to the record of an authority, and waits until all are on its CRL. */
async function fill(name: string, victim: Tenant, entries: readonly unknown[]): Promise<void> {
  const { issuerId = '' } = (await victim.get('db')).status?.secrets?.[0] ?? {};
  const record = { version: 3, issuers: { [issuerId]: { revoked: entries } } };
  const text = base64(JSON.stringify(record));
  await world.api.patch(paths.rootSecret(name), { data: { 'revoked.json': text } });
  await eventually(async () => assert.equal((await world.authority(name)).status?.crl?.revoked, entries.length), {
    timeoutMs: 60_000,
  });
}

const isExhausted = (tenant: Tenant): Promise<string> =>
  eventually(async () => {
    const issuing = conditionOf(await tenant.get('db'), 'Issuing');
    assert.equal(issuing?.reason, 'CrlShareExhausted');
    return issuing.message;
  });

/** The sum of the operator's metrics in the lines that match. */
async function metric(line: RegExp): Promise<number> {
  const text = await (await fetch(`${world.operator.url}/metrics`)).text();
  const values = text.split('\n').flatMap((sample) => (line.test(sample) ? [Number(sample.split(' ').at(-1))] : []));
  return values.reduce((a, b) => a + b, 0);
}

describe('the CRL', () => {
  // A failure means: one tenant prevents revocation for all others until its certificates expire.
  test('has room for other namespaces when one has used up its share', async () => {
    await authority('shared');
    const [attacker, victim] = [await serverOf('shared', 'greedy'), await serverOf('shared')];
    await fill('shared', victim, entriesOf(1250, attacker.namespace));
    await attacker.askToRevoke('db', 'once-more');
    const message = await isExhausted(attacker);
    assert.match(
      message,
      new RegExp(`namespace ${attacker.namespace} has used its share of the CRL, 1250 of 5000 entries`),
    );
    const { server: serial = '' } = await victim.serials('db');
    await victim.revoke('db', 'incident-9');
    assert.ok((await listed('shared')).includes(serial));
    assert.equal((await attacker.get('db')).status?.lastHandledRevoke, undefined);
  });

  // A failure means: the documented remedy does not work, and each resource needs manual work.
  test('is reported when it is full, and a root rotation empties it, even if a request waits for room', async (t) => {
    // Slow enough that no other event reconciles the resource before its turn.
    await authority('full', { rotation: { propagationDelay: '300ms', reissuesPerSecond: 1 } });
    const victim = await serverOf('full');
    await victim.patch('db', { spec: { client: { serviceAccount: 'db' }, peer: { service: 'db' } } });
    await eventually(async () => assert.equal(Object.keys(await victim.serials('db')).length, 3));
    await fill('full', victim, entriesOf(5000));
    const nearlyFull = async () => conditionOf(await world.authority('full'), 'CrlNearlyFull');
    await eventually(async () => assert.equal((await nearlyFull())?.status, 'True'));
    assert.equal(await metric(/^mtls_operator_crl_entries\{authority="full"\}/), 5000);
    assert.equal(await metric(/^mtls_operator_crl_entries_limit\{authority="full"\}/), 5000);
    await victim.askToRevoke('db', 'incident-10');
    const message = await isExhausted(victim);
    await victim.ready('db');
    const before = Object.values(await victim.serials('db'));
    // Follows the message.
    const [, annotation = ''] = /mtls-operator\.io\/(rotate-root)=/.exec(message) ?? [];
    const started = performance.now();
    await world.patchAuthority('full', {
      metadata: { annotations: { [`mtls-operator.io/${annotation}`]: 'make-room' } },
    });
    await eventually(
      async () => {
        const { status } = await world.authority('full');
        assert.equal(status?.lastHandledRotateRoot, 'make-room');
        assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
        assert.equal(status?.roots?.length, 1);
      },
      { timeoutMs: 60_000 },
    );
    t.diagnostic(`a rotation with a full CRL took ${((performance.now() - started) / 1000).toFixed(1)} s`);
    // The waiting request is handled: the CRL has only serial numbers that the new root has signed since.
    await victim.revocationIsHandled('db', 'incident-10');
    const after = await listed('full');
    assert.ok(after.length <= 3 && !before.some((serial) => after.includes(serial)), `${after.length} entries`);
    await eventually(async () => assert.equal((await nearlyFull())?.status, 'False'));
  });

  // A failure means: one tenant causes writes in every namespace with each of its revocation requests.
  test('is written at a limited rate, however often a tenant requests revocations', async (t) => {
    await authority('paced');
    await world.createAuthority('witness', { secretName: 'witness', root: {} });
    const attacker = await world.tenant('paced');
    const places = await Promise.all(Array.from({ length: 5 }, () => world.tenant('place')));
    for (const place of places) await place.trust('paced');
    const names = Array.from({ length: 12 }, (_, i) => `db-${i}`);
    for (const name of names) {
      await attacker.create(name, { authorityRef: { name: 'paced' }, server: { service: 'db' } });
    }
    const serials = await Promise.all(
      names.map(async (name) => {
        await attacker.ready(name);
        return (await attacker.serials(name))['server'] ?? '';
      }),
    );
    for (const place of places) await eventually(() => place.crls('trust-paced'));
    const publications = /^rest_client_requests_total\{.*verb="patch".*resource="configmaps"/;
    const [writesBefore, revisionsBefore] = [await metric(publications), await revisionsOf('paced')];
    const started = performance.now();
    for (const [i, name] of names.entries()) {
      await attacker.askToRevoke(name, 'again');
      // Wait for as long as another certificate takes.
      await attacker.issue(`witness-${i}`, { authorityRef: { name: 'witness' }, server: { service: 'db' } });
    }
    for (const name of names) await attacker.revocationIsHandled(name, 'again');
    const seconds = (performance.now() - started) / 1000;
    assert.deepEqual(await listed('paced'), serials.toSorted());
    await eventually(async () => {
      assert.equal((await world.tenantOf(operatorNamespace).crls('trust-paced'))[0]?.revoked.length, 12);
    });
    const lists = (await revisionsOf('paced')) - revisionsBefore;
    const writes = (await metric(publications)) - writesBefore;
    t.diagnostic(
      `${names.length} revocations in ${seconds.toFixed(1)} s: ${lists} writes of the root Secret, ${writes} of ConfigMaps`,
    );
    const most = Math.ceil(seconds / 5) + 1;
    assert.ok(lists <= most, `${lists} writes of the root Secret in ${seconds} s`);
    assert.ok(writes <= most * (places.length + 1), `${writes} writes of ConfigMaps in ${seconds} s`);
  });

  // A failure means: a tenant that revokes short-lived certificates every few seconds causes writes in every namespace for
  // ever.
  test('is delayed for a namespace that revokes all the time, and signed with the entries of both when another namespace revokes', async (t) => {
    await authority('steady');
    const [attacker, victim] = [await serverOf('steady', 'greedy'), await serverOf('steady')];
    // Twelve signatures in the last minute: the next delay is five minutes.
    const entries = entriesOf(12, attacker.namespace).map(([serial, , ...rest], i) => {
      return [serial, new Date(Date.now() - (12 - i) * 5000).toISOString(), ...rest];
    });
    await fill('steady', victim, entries);
    const [{ server: theirs = '' }, { server: serial = '' }] = [
      await attacker.serials('db'),
      await victim.serials('db'),
    ];
    await attacker.askToRevoke('db', 'once-more');
    await eventually(async () => {
      const { thisUpdate } = (await world.crls('steady'))[0] ?? assert.fail('no CRL');
      // thisUpdate is backdated by five minutes. A CRL can be signed every five seconds.
      assert.ok(Date.now() - thisUpdate.getTime() > 300_000 + 8000);
    });
    assert.ok(!(await listed('steady')).includes(theirs));
    const started = performance.now();
    await victim.revoke('db', 'incident-11');
    t.diagnostic(`another namespace waited ${((performance.now() - started) / 1000).toFixed(1)} s`);
    const after = await listed('steady');
    assert.ok(after.includes(serial) && after.includes(theirs), after.join());
    await attacker.revocationIsHandled('db', 'once-more');
  });
});

/** The number of revisions that a root Secret has had. */
const revisionsOf = async (name: string): Promise<number> =>
  (await world.watched.upTo(await world.rootSecret(name))).length;
