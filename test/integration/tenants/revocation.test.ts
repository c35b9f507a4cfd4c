import assert from 'node:assert/strict';

import { describe, test } from 'node:test';

import { base64, operatorNamespace, paths } from '../../support/api.ts';
import { serialsOn } from '../../support/crl/lists.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation, type Tenant } from '../../support/installation.ts';

const world = installation({ args: ['--workers=4'] });

/** An authority that publishes a ConfigMap `trust-NAME` in every namespace that is labelled with its name, and in the operator's. */
async function authority(name: string, spec: object = {}): Promise<void> {
  await world.createAuthority(name, { secretName: name, root: {}, ...spec });
  await world.publishTrust(name);
  await world.tenantOf(operatorNamespace).trust(name);
}

/** A Ready server of an authority, in a namespace of its own. */
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
  // Broken if it fails: whoever may write ConfigMaps in a namespace of theirs decides what the operator finds of its CRLs,
  // and a thief's certificate is accepted again.
  test('comes from the operator’s namespace, whatever ConfigMaps another namespace shows', async () => {
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
    // The list of the backup is valid: only its number and entries tell that it is old.
    await eventually(async () => assert.deepEqual(await listed('restored'), [serial]));
  });
});

describe('the notes on a Secret', () => {
  const note = (verb: 'revoke' | 'rotate', token: string) => ({
    metadata: { annotations: { [`mtls-operator.io/${verb}`]: token } },
  });

  // Broken if it fails: a person who waits for lastHandledRevoke believes that peers refuse a certificate that they accept.
  test('answer no request to revoke, whoever has written them before it is made', async () => {
    const { victim, serial } = await victimOf('noted');
    await victim.patchSecret('db-server-tls', note('revoke', 'incident-7'));
    await victim.revoke('db', 'incident-7');
    assert.deepEqual(await listed('noted'), [serial]);
    assert.notEqual((await victim.serials('db'))['server'], serial);
  });

  test('answer no request to revoke while what they are written next to is that of another resource', async () => {
    const { victim, serial } = await victimOf('swapped');
    // Another certificate of the authority, which its owner may put there, with a note that answers the request to come. The
    // operator sees it next to a status that does not know the certificate, as after an end between two writes.
    await victim.issue('twin', { authorityRef: { name: 'swapped' }, server: { service: 'db' } });
    const { data } = await victim.secret('twin-server-tls');
    await world.restart(async () => {
      await victim.patchSecret('db-server-tls', { ...note('revoke', 'incident-8'), data });
      await victim.askToRevoke('db', 'incident-8');
    });
    await victim.revocationIsHandled('db', 'incident-8');
    assert.ok((await listed('swapped')).includes(serial));
  });

  test('answer no request to rotate', async () => {
    const { victim, serial } = await victimOf('rotated');
    await victim.patchSecret('db-server-tls', note('rotate', 'in-a-hurry'));
    await victim.rotate('db', 'in-a-hurry');
    await victim.ready('db');
    assert.notEqual((await victim.serials('db'))['server'], serial);
  });
});

/** Entries of the record in a root Secret: serial numbers that no certificate has, for ten years, asked for by a namespace. */
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

/** Has an authority remember these entries, as if it had been asked to revoke as many, and waits until all are on its CRL. */
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

/** What the operator's metrics say, summed up over the lines that match. */
async function metric(line: RegExp): Promise<number> {
  const text = await (await fetch(`${world.operator.url}/metrics`)).text();
  const values = text.split('\n').flatMap((one) => (line.test(one) ? [Number(one.split(' ').at(-1))] : []));
  return values.reduce((a, b) => a + b, 0);
}

describe('the CRL', () => {
  // Broken if it fails: one tenant ends revocation for all others, for as long as its certificates last.
  test('has room for others when one namespace has used up its share', async () => {
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

  // Broken if it fails: the way out that the documentation names does not work, and needs a person at each resource.
  test('that is full says so, and a rotation of the root empties it, though a request waits for room', async (t) => {
    // So slowly that the turn of the resource comes later than any event that would have it looked at.
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
    // As the message says.
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
    // The request that waited is answered: what the new root has signed since is on the list, and nothing else.
    await victim.revocationIsHandled('db', 'incident-10');
    const after = await listed('full');
    assert.ok(after.length <= 3 && !before.some((serial) => after.includes(serial)), `${after.length} entries`);
    await eventually(async () => assert.equal((await nearlyFull())?.status, 'False'));
  });

  // Broken if it fails: one tenant has every namespace written to as often as it asks to revoke.
  test('is written as often as time goes by, not as often as a tenant asks', async (t) => {
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
    const publications = /^mtls_operator_api_requests_total\{.*verb="(PATCH|patch)".*resource="configmaps"/;
    const [writesBefore, revisionsBefore] = [await metric(publications), await revisionsOf('paced')];
    const started = performance.now();
    for (const [i, name] of names.entries()) {
      await attacker.askToRevoke(name, 'again');
      // As long as somebody else's certificate takes.
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

  // Broken if it fails: a tenant that revokes short-lived certificates, one every few seconds, has every namespace written to for ever.
  test('is not signed again for a namespace that never stops asking, and is for another one, for both', async (t) => {
    await authority('steady');
    const [attacker, victim] = [await serverOf('steady', 'greedy'), await serverOf('steady')];
    // Twelve signings of the last minute: the pause after them is five minutes.
    const asked = entriesOf(12, attacker.namespace).map(([serial, , ...rest], i) => {
      return [serial, new Date(Date.now() - (12 - i) * 5000).toISOString(), ...rest];
    });
    await fill('steady', victim, asked);
    const [{ server: theirs = '' }, { server: serial = '' }] = [
      await attacker.serials('db'),
      await victim.serials('db'),
    ];
    await attacker.askToRevoke('db', 'once-more');
    await eventually(async () => {
      const { thisUpdate } = (await world.crls('steady'))[0] ?? assert.fail('no CRL');
      // It is dated five minutes back. A list can be signed every five seconds.
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

/** How many revisions of a root Secret there have been. */
const revisionsOf = async (name: string): Promise<number> =>
  (await world.watched.upTo(await world.rootSecret(name))).length;
