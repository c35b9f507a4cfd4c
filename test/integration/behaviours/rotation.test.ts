import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import type { Secret } from '../../support/api.ts';
import { digestOf, judge, publicKeyOf } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';

const world = installation({ args: ['--workers=1'] });

const roles = { server: { service: 'db' }, client: { serviceAccount: 'db' }, peer: { service: 'db' } };
const secretNames = ['db-server-tls', 'db-client-tls', 'db-peer-tls'];

/** A new namespace with a Ready resource that has all roles. */
async function issued(): Promise<Tenant> {
  const tenant = await world.tenantWith('rotate', roles);
  return tenant;
}

/** The different public keys that a Secret has had, oldest first. */
async function keysOf(secret: Secret): Promise<string[]> {
  return [...new Set(await Promise.all((await world.watched.upTo(secret)).map(publicKeyOf)))];
}

async function secretsOf(tenant: Tenant): Promise<Secret[]> {
  return Promise.all(secretNames.map((name) => tenant.secret(name)));
}

async function assertIssuedTimes(tenant: Tenant, times: number): Promise<void> {
  const { status } = await tenant.get('db');
  assert.deepEqual(
    status?.secrets?.map(({ revision }) => revision),
    secretNames.map(() => times),
  );
  for (const secret of await secretsOf(tenant)) {
    await judge(secret);
    assert.equal((await keysOf(secret)).length, times, `${secret.metadata.name} had another number of keys`);
  }
}

describe('rotation by annotation', { concurrency: 3 }, () => {
  test('2. A new token rotates every Secret of the resource exactly once, and the token is echoed', async () => {
    const tenant = await issued();
    const before = await Promise.all((await secretsOf(tenant)).map(judge));

    await tenant.rotate('db', 'first');
    const { status } = await tenant.ready('db');
    assert.equal(status?.lastHandledRotate, 'first');
    const after = await Promise.all((await secretsOf(tenant)).map(judge));
    for (const [i, { serialNumber, publicKey }] of after.entries()) {
      assert.notEqual(serialNumber, before[i]?.serialNumber);
      assert.notEqual(publicKey, before[i]?.publicKey);
    }
    await assertIssuedTimes(tenant, 2);

    await tenant.rotate('db', 'second');
    assert.equal((await tenant.ready('db')).status?.lastHandledRotate, 'second');
    await assertIssuedTimes(tenant, 3);
  });

  test('2. Setting the same token again and removing the annotation do nothing', async () => {
    const tenant = await issued();
    await tenant.rotate('db', 'once');
    await tenant.ready('db');
    const digests = (await secretsOf(tenant)).map(digestOf);

    await tenant.rotate('db', 'once');
    await tenant.reconcileAgain('db');
    assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    const { metadata } = await tenant.patch('db', { metadata: { annotations: { 'mtls-operator.io/rotate': null } } });
    assert.equal(metadata.annotations?.['mtls-operator.io/rotate'], undefined);
    await tenant.reconcileAgain('db');
    await tenant.rotate('db', 'once');
    await tenant.reconcileAgain('db');
    assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    assert.equal((await tenant.get('db')).status?.lastHandledRotate, 'once');
  });

  test('2. A token that is set at creation is handled by the first issue', async () => {
    const tenant = await world.tenant('rotate');
    await tenant.create('db', roles, { 'mtls-operator.io/rotate': 'from-the-start' });
    assert.equal((await tenant.ready('db')).status?.lastHandledRotate, 'from-the-start');
    await tenant.reconcileAgain('db');
    await assertIssuedTimes(tenant, 1);
  });

  test('2. A rotation generates a new key even with rotationPolicy Never', async () => {
    const tenant = await world.tenantWith('rotate', { ...roles, privateKey: { rotationPolicy: 'Never' } });
    await tenant.rotate('db', 'suspicion');
    await tenant.ready('db');
    await assertIssuedTimes(tenant, 2);
  });

  test('The operator does not change the annotation', async () => {
    const tenant = await issued();
    await tenant.rotate('db', 'mine');
    assert.deepEqual((await tenant.ready('db')).metadata.annotations, { 'mtls-operator.io/rotate': 'mine' });
  });
});

describe('a changed spec', { concurrency: 3 }, () => {
  const changes = [
    { what: 'a further DNS name', spec: { server: { dnsNames: ['other.$(NAMESPACE).svc'] } } },
    { what: 'another kind of key', spec: { privateKey: { algorithm: 'RSA', size: 2048 } } },
    { what: 'another encoding of the key', spec: { privateKey: { encoding: 'SEC1' } } },
    { what: 'another duration', spec: { duration: '24h' } },
    { what: 'another subject', spec: { subject: { organizations: ['Example Org'] } } },
  ];
  before(async () => {
    await world.authorityIs('default', 'True');
    const allow = [{ namespaceSelector: {}, subject: { organizations: ['Example Org'] } }];
    await world.patchAuthority('default', { spec: { issuance: { allow } } });
  });
  for (const { what, spec } of changes) {
    test(`issues the certificate once more: ${what}`, async () => {
      const tenant = await world.tenantWith('change');
      const before = await judge(await tenant.secret('db-server-tls'));
      await tenant.patch('db', { spec: JSON.parse(JSON.stringify(spec).replace('$(NAMESPACE)', tenant.namespace)) });
      const { status } = await tenant.ready('db');
      assert.equal(status?.secrets?.[0]?.revision, 2);
      const secret = await tenant.secret('db-server-tls');
      const after = await judge(secret);
      assert.notDeepEqual(after, before);
      const hasChanged = {
        'a further DNS name': after.names.includes(`DNS:other.${tenant.namespace}.svc`),
        'another kind of key': after.keyKind.includes('2048 bit'),
        'another encoding of the key': after.keyLabel === 'EC PRIVATE KEY',
        'another duration': after.notAfter.getTime() - after.notBefore.getTime() < 25 * 3_600_000,
        'another subject': after.subject === 'O=Example Org',
      };
      assert.equal(hasChanged[what as keyof typeof hasChanged], true, 'the new certificate does not have the change');
      assert.equal((await keysOf(secret)).length, 2);
    });
  }

  test('leaves the Secret of an unaffected role byte-identical', async () => {
    const tenant = await issued();
    const digest = digestOf(await tenant.secret('db-client-tls'));
    await tenant.patch('db', { spec: { server: { service: 'other' } } });
    await tenant.ready('db');
    assert.equal(digestOf(await tenant.secret('db-client-tls')), digest);
  });
});

describe('renewal', { concurrency: 3 }, () => {
  /** Due fifteen seconds after the issue, minus some jitter. */
  const soon = { duration: '5m', renewBefore: '4m45s' };
  const backdateMs = 5 * 60_000;

  for (const rotationPolicy of ['Always', 'Never']) {
    const what = rotationPolicy === 'Always' ? 'with a new key' : 'with the same key for rotationPolicy Never';
    test(`10. Renewal happens at its time and not earlier, ${what}`, async () => {
      const tenant = await world.tenant('renewal');
      const { status } = await tenant.issue('db', {
        server: { service: 'db' },
        ...soon,
        privateKey: { rotationPolicy },
      });
      const due = new Date(status?.secrets?.[0]?.renewalTime ?? Number.NaN);
      const first = await judge(await tenant.secret('db-server-tls'));
      const renewed = await eventually(
        async () => {
          const secret = await tenant.secret('db-server-tls');
          assert.notEqual((await judge(secret)).serialNumber, first.serialNumber, 'it is still the first certificate');
          return secret;
        },
        { timeoutMs: 60_000, message: 'the certificate was not renewed' },
      );
      const second = await judge(renewed);
      const issuedAt = second.notBefore.getTime() + backdateMs;
      const lateMs = issuedAt - due.getTime();
      assert.ok(lateMs >= 0, `renewed ${-lateMs} ms before its time`);
      assert.ok(lateMs < 10_000, `renewed ${lateMs} ms after its time`);
      assert.equal((await world.watched.upTo(renewed)).length, 2, 'the Secret was written meanwhile');
      assert.equal(second.publicKey === first.publicKey, rotationPolicy === 'Never');
    });
  }

  test('10. Renewal is due after the issue and before the expiry for every renewBeforePercentage', async () => {
    const tenant = await world.tenant('renewal');
    const names = [1, 33, 50, 66, 99].map((percentage) => ({ name: `at-${percentage}`, percentage }));
    for (const { name, percentage } of names) {
      const spec = { server: { service: 'db' }, duration: '5m', renewBeforePercentage: percentage };
      await tenant.create(name, spec);
    }
    for (const { name } of names) {
      const { status } = await tenant.ready(name);
      const { notBefore, notAfter, renewalTime } = status!.secrets![0]!;
      const [issuedAt, due, end] = [Date.parse(notBefore) + backdateMs, Date.parse(renewalTime), Date.parse(notAfter)];
      assert.ok(due > issuedAt && due < end, `${name}: issued ${new Date(issuedAt).toISOString()}, due ${renewalTime}`);
    }
  });

  test('10. Renewal is spread: certificates issued at the same time are due at different times, within a tenth of renewBefore', async () => {
    const tenant = await world.tenant('spread');
    const names = Array.from({ length: 20 }, (_, i) => `db-${i}`);
    await Promise.all(names.map((name) => tenant.create(name, { server: { service: 'db' }, duration: '90h' })));
    const resources = await Promise.all(names.map((name) => tenant.ready(name)));
    const shares = resources.map(({ status }) => {
      const { notBefore, notAfter, renewalTime } = status!.secrets![0]!;
      const third = (Date.parse(notAfter) - Date.parse(notBefore)) / 3;
      return (Date.parse(notAfter) - third - Date.parse(renewalTime)) / third;
    });
    // Times are whole seconds, so a share may be slightly off.
    assert.ok(
      shares.every((share) => share > -0.001 && share < 0.101),
      shares.join(', '),
    );
    assert.ok(Math.max(...shares) - Math.min(...shares) > 0.03, `hardly any spread: ${shares.join(', ')}`);
    // With 10,800 possible seconds, one run in sixty has two equal times among twenty; one in a million has three such
    // pairs.
    const different = new Set(shares).size;
    assert.ok(different >= shares.length - 2, `${different} different times`);
  });
});

describe('a restart of the operator', () => {
  test('2. Rotates nothing for a handled token, and once for a token that was set while the operator was stopped', async () => {
    const tenant = await issued();
    await tenant.rotate('db', 'before');
    await tenant.ready('db');
    const digests = (await secretsOf(tenant)).map(digestOf);
    await world.restart();
    await tenant.reconcileAgain('db');
    assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    await world.restart(() => tenant.rotate('db', 'while-away'));
    await tenant.ready('db');
    await assertIssuedTimes(tenant, 3);
  });

  test('2. Handles a token exactly once when the operator is killed as it is set', async () => {
    const tenant = await issued();
    await tenant.rotate('db', 'in-the-middle');
    await world.operator.kill();
    await world.start();
    await tenant.ready('db');
    await assertIssuedTimes(tenant, 2);
  });
});
