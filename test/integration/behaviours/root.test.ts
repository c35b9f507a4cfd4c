import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { paths, type Secret } from '../../support/api.ts';
import {
  type BroughtRoot,
  type BroughtRootOptions,
  broughtRoot,
  extensions,
  keys,
} from '../../support/behaviours/brought-root.ts';
import { digestOf, fileOf, fingerprintOf, judge, publicKeyOf } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { startOperator } from '../../support/operator.ts';

const world = installation({ args: ['--workers=1'], operator: false });

const dayMs = 24 * 3_600_000;
const inDays = (days: number): Date => new Date(Date.now() + days * dayMs);

/** Creates an authority with a user's own root, and one certificate. */
async function broughtAuthority(root: BroughtRoot, spec: object = {}): Promise<{ name: string; tenant: Tenant }> {
  const name = await world.ownAuthority({}, root);
  await world.authorityIs(name, 'True');
  const tenant = await world.tenantWith('root', certificateOf(name, spec));
  return { name, tenant };
}

/** An authority whose root expires soon, but after its certificate was issued: a busy machine gets more time for that. */
async function authorityThatExpires(): Promise<{ name: string; tenant: Tenant; end: Date }> {
  for (let lifetimeMs = 12_000; ; lifetimeMs *= 4) {
    const end = new Date(Math.ceil(Date.now() / 1000) * 1000 + lifetimeMs);
    const name = await world.ownAuthority({}, await broughtRoot({ notAfter: end }));
    const tenant = await world.tenant('root');
    await tenant.create('db', certificateOf(name));
    const isIssued = await eventually(async () => {
      const ready = (await tenant.get('db')).status?.conditions?.find(({ type }) => type === 'Ready');
      assert.ok(
        ready?.status === 'True' || Date.now() >= end.getTime(),
        ready?.message ?? 'the operator has not seen it',
      );
      return ready?.status === 'True';
    });
    if (isIssued) return { name, tenant, end };
  }
}

const certificateOf = (authority: string, spec: object = {}): object => ({
  authorityRef: { name: authority },
  server: { service: 'db' },
  client: { serviceAccount: 'db' },
  ...spec,
});
const secretNames = ['db-server-tls', 'db-client-tls'];
const secretsOf = (tenant: Tenant): Promise<Secret[]> =>
  Promise.all(secretNames.map((secretName) => tenant.secret(secretName)));

describe('the root of the default authority', () => {
  test('2. Two operators that start at the same time create one root', async () => {
    const [, second] = await Promise.all([world.start(), startOperator(world.cluster)]);
    await world.authorityIs('default', 'True');
    const tenant = await world.tenantWith('root', certificateOf('default'));
    const root = await world.rootSecret('mtls-root');
    assert.equal(root.type, 'kubernetes.io/tls');
    for (const secret of await secretsOf(tenant)) {
      const { roots } = await judge(secret);
      assert.deepEqual(roots, [await fingerprintOf(fileOf(root, 'tls.crt'))]);
    }
    assert.equal((await world.watched.upTo(root)).length, 1, 'the root Secret was written more than once');
    await second.stop();
  });

  test('2. A root is never overwritten, neither after a restart nor by another authority', async () => {
    const before = digestOf(await world.rootSecret('mtls-root'));
    await world.restart();
    await world.authorityIs('default', 'True');
    await world.restart(() => world.api.delete(paths.authorities('default')));
    await world.authorityIs('default', 'True');
    await world.createAuthority('again', { secretName: 'mtls-root', root: { commonName: 'Another Root' } });
    await world.authorityIs('again', 'True');
    assert.equal(digestOf(await world.rootSecret('mtls-root')), before);
    await world.api.delete(paths.authorities('again'));
  });
});

describe('a root that the operator creates', { concurrency: 3 }, () => {
  const specs = [
    { root: { privateKey: { algorithm: 'RSA', size: 2048 } }, kind: '2048 bit' },
    { root: { privateKey: { algorithm: 'ECDSA', size: 384 } }, kind: '384 bit' },
    { root: { privateKey: { algorithm: 'Ed25519' } }, kind: 'ED25519' },
  ];
  for (const { root, kind } of specs) {
    test(`1. Signs certificates that openssl verifies, with a key of ${kind}`, async () => {
      const subject = { commonName: 'Own Root', organizations: ['Example Org'] };
      const name = await world.ownAuthority({ root: { ...root, ...subject, duration: '8760h' } });
      const { status } = await world.authorityIs(name, 'True');
      const tenant = await world.tenantWith('root', certificateOf(name));
      for (const secret of await secretsOf(tenant)) {
        assert.deepEqual((await judge(secret)).roots, [status?.activeRoot?.fingerprint]);
      }
      assert.match(status?.activeRoot?.subject ?? '', /CN=Own Root/);
    });
  }

  test('2. A deleted root Secret is created again with a new root, and the old root stays trusted in every Secret', async () => {
    const name = await world.ownAuthority();
    await world.authorityIs(name, 'True');
    const tenant = await world.tenantWith('root', certificateOf(name));
    const [before] = (await judge(await tenant.secret('db-server-tls'))).roots;
    await world.api.delete(paths.rootSecret(name));
    await trusts(tenant, async (roots) => {
      const now = await fingerprintOf(fileOf(await world.rootSecret(name), 'tls.crt'));
      assert.notEqual(now, before);
      // The old root signs until every pod has had the time to load the new root.
      assert.deepEqual(roots, [before, now]);
    });
    const { status } = await world.authorityIs(name, 'True');
    assert.equal(status?.activeRoot?.fingerprint, before);
    await tenant.issue('later', certificateOf(name));
    assert.equal((await judge(await tenant.secret('later-server-tls'))).roots[0], before);
  });
});

describe("a user's own root", { concurrency: 3 }, () => {
  const kinds: Record<string, BroughtRootOptions> = {
    'RSA 2048': { key: keys.rsa2048 },
    'ECDSA P-256': { key: keys.p256 },
    'ECDSA P-384 and SHA-384': { key: keys.p384, digest: 'sha384' },
    Ed25519: { key: keys.ed25519 },
    'ECDSA P-256, valid long after 2049': { notAfter: new Date('2075-01-01T00:00:00Z') },
  };
  for (const [what, options] of Object.entries(kinds)) {
    test(`1. ${what}: signs leaves of every kind that openssl verifies`, async () => {
      const root = await broughtRoot(options);
      const { name, tenant } = await broughtAuthority(root);
      const others = { ed25519: { algorithm: 'Ed25519' }, rsa: { algorithm: 'RSA', size: 2048 } };
      for (const [other, privateKey] of Object.entries(others)) {
        await tenant.issue(other, certificateOf(name, { privateKey }));
        await judge(await tenant.secret(`${other}-server-tls`));
      }
      const fingerprint = await fingerprintOf(root['tls.crt']);
      for (const secret of await secretsOf(tenant)) assert.deepEqual((await judge(secret)).roots, [fingerprint]);
      assert.equal((await tenant.get('db')).status?.secrets?.[0]?.rootFingerprint, fingerprint);
      assert.equal((await world.authority(name)).status?.activeRoot?.fingerprint, fingerprint);
    });
  }

  test("8. An authority without spec.root waits for the user's root with RootMissing", async () => {
    const name = await world.ownAuthority({ root: null });
    await world.authorityIs(name, 'False', 'RootMissing');
    const tenant = await world.tenant('root');
    await tenant.create('db', certificateOf(name));
    await tenant.notReady('db', 'AuthorityNotReady');
    assert.deepEqual(await tenant.secretNames(), []);
    await world.bringRoot(name, await broughtRoot());
    await tenant.ready('db');
    await judge(await tenant.secret('db-server-tls'));
  });

  test('7. When another root replaces it, the old root stays trusted in every Secret, and every leaf verifies', async () => {
    const [first, second] = await Promise.all([
      broughtRoot({ commonName: 'First' }),
      broughtRoot({ commonName: 'Second' }),
    ]);
    const [firstFingerprint, secondFingerprint] = [
      await fingerprintOf(first['tls.crt']),
      await fingerprintOf(second['tls.crt']),
    ];
    const { name, tenant } = await broughtAuthority(first);
    await world.bringRoot(name, second);
    await trusts(tenant, (roots) => assert.deepEqual(roots, [firstFingerprint, secondFingerprint]));
    await tenant.rotate('db', 'not-yet-onto-the-new-root');
    const { status } = await tenant.ready('db');
    assert.deepEqual(
      status?.secrets?.map(({ rootFingerprint }) => rootFingerprint),
      [firstFingerprint, firstFingerprint],
    );
    await trusts(tenant, (roots) => assert.deepEqual(roots, [firstFingerprint, secondFingerprint]));
    const bundle = fileOf(await world.rootSecret(name), 'ca.crt');
    assert.ok(bundle.includes(first['tls.crt'].trim().split('\n')[5] ?? '-'), 'the root Secret lost the old root');
  });

  test('7. No leaf outlives its root, and a leaf that expires with its root is not renewed repeatedly', async () => {
    const end = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);
    const { tenant } = await broughtAuthority(await broughtRoot({ notAfter: end }));
    for (const secret of await secretsOf(tenant)) assert.deepEqual((await judge(secret)).notAfter, end);
    const ending = await broughtRoot({ notBefore: inDays(-1), notAfter: new Date(Date.now() + 60_000) });
    const short = await world.ownAuthority({}, ending);
    await tenant.issue('short', certificateOf(short, { duration: '5m' }));
    const digest = digestOf(await tenant.secret('short-server-tls'));
    await tenant.reconcileAgain('short');
    assert.equal(digestOf(await tenant.secret('short-server-tls')), digest);
  });

  test('8. A root that expires while it is in use stops signing, and its resources report expired certificates', async () => {
    const { name, tenant, end } = await authorityThatExpires();
    const digests = (await secretsOf(tenant)).map(digestOf);
    await world.authorityIs(name, 'False', 'RootExpired');
    assert.ok(Date.now() >= end.getTime(), 'RootExpired was reported before the root expired');
    const certificate = await eventually(async () => {
      const found = await tenant.get('db');
      assert.equal(found.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'False');
      return found;
    });
    assert.ok(certificate.status !== undefined);
    assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    await world.bringRoot(name, await broughtRoot());
    await tenant.ready('db');
    for (const secret of await secretsOf(tenant)) await judge(secret);
  });
});

describe('8. A bad root signs nothing, and existing Secrets stay byte-identical:', { concurrency: 3 }, () => {
  const bad: Record<string, { reason: string; root: () => Promise<Partial<BroughtRoot>> }> = {
    'not a CA': { reason: 'RootNotCA', root: () => broughtRoot({ extensions: extensions.notCa }) },
    'without keyCertSign': { reason: 'RootKeyUsage', root: () => broughtRoot({ extensions: extensions.cannotSign }) },
    expired: {
      reason: 'RootExpired',
      root: () => broughtRoot({ notBefore: inDays(-10), notAfter: inDays(-1) }),
    },
    'not yet valid': { reason: 'RootNotYetValid', root: () => broughtRoot({ notBefore: inDays(1) }) },
    'signed with SHA-1': { reason: 'RootWeakSignature', root: () => broughtRoot({ digest: 'sha1' }) },
    'signed with MD5': {
      reason: 'RootWeakSignature',
      root: () => broughtRoot({ key: keys.rsa2048, digest: 'md5' }),
    },
    'with an RSA key of 1024 bits': { reason: 'RootWeakKey', root: () => broughtRoot({ key: keys.rsa1024 }) },
    'with the key of another root': {
      reason: 'RootKeyMismatch',
      root: async () => ({ 'tls.crt': (await broughtRoot())['tls.crt'] }),
    },
    'with an invalid tls.crt': {
      reason: 'RootMalformed',
      root: () => Promise.resolve({ 'tls.crt': 'not a certificate' }),
    },
    'without a certificate': { reason: 'RootMalformed', root: () => Promise.resolve({ 'tls.crt': '' }) },
    'with an invalid tls.key': {
      reason: 'RootKeyMalformed',
      root: () => Promise.resolve({ 'tls.key': 'not a key' }),
    },
  };
  for (const [what, { reason, root }] of Object.entries(bad)) {
    test(`8. ${what}`, async () => {
      const good = await broughtRoot();
      const { name, tenant } = await broughtAuthority(good);
      const digests = (await secretsOf(tenant)).map(digestOf);
      await world.bringRoot(name, await root());
      const { status } = await world.authorityIs(name, 'False', reason);
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      assert.match(ready?.message ?? '', /\w/);

      await tenant.create('new', certificateOf(name));
      const { message } = await tenant.notReady('new', 'AuthorityNotReady');
      assert.match(message, new RegExp(reason));
      assert.deepEqual(await tenant.secretNames(), secretNames.toSorted());
      assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);

      await world.bringRoot(name, good);
      await tenant.ready('new');
      await judge(await tenant.secret('new-server-tls'));
      assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    });
  }

  test('8. A root with name constraints refuses only resources with names outside them', async () => {
    const tenant = await world.tenant('root');
    const inside = extensions.constrainedTo(`${tenant.namespace}.svc.cluster.local`);
    const name = await world.ownAuthority({}, await broughtRoot({ extensions: inside }));
    await world.authorityIs(name, 'True');
    await tenant.create('outside', { authorityRef: { name }, server: { service: 'db' } });
    const { message } = await tenant.notReady('outside', 'NameConstrained');
    assert.match(message, /\bdb\b/);
    assert.deepEqual(await tenant.secretNames(), []);
    const dnsNames = [`db.${tenant.namespace}.svc.cluster.local`];
    await tenant.issue('inside', { authorityRef: { name }, server: { dnsNames } });
    assert.deepEqual(
      (await judge(await tenant.secret('inside-server-tls'))).names,
      dnsNames.map((dnsName) => `DNS:${dnsName}`),
    );
  });
});

describe('a deleted authority', () => {
  test('keeps its root Secret: its certificates stay valid, report AuthorityNotFound, and are Ready when it is created again', async () => {
    const name = await world.ownAuthority();
    const tenant = await world.tenantWith('root', certificateOf(name));
    const root = await world.rootSecret(name);
    const digests = (await secretsOf(tenant)).map(digestOf);
    await world.api.delete(paths.authorities(name));
    await tenant.notReady('db', 'AuthorityNotFound');
    assert.equal(digestOf(await world.rootSecret(name)), digestOf(root));
    for (const secret of await secretsOf(tenant)) await judge(secret);
    await world.createAuthority(name, { secretName: name, root: {} });
    await tenant.ready('db');
    assert.deepEqual((await secretsOf(tenant)).map(digestOf), digests);
    assert.equal(await publicKeyOf(await world.rootSecret(name)), await publicKeyOf(root));
  });
});

/** Waits until `check` accepts the fingerprints in ca.crt of both Secrets. openssl must accept both. */
async function trusts(tenant: Tenant, check: (roots: readonly string[]) => Promise<void> | void): Promise<void> {
  await eventually(async () => {
    for (const secret of await secretsOf(tenant)) await check((await judge(secret)).roots);
  });
}
