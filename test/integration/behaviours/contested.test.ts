import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { base64, paths, type Secret } from '../../support/api.ts';
import { fileOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';

const world = installation();

const name = 'db-server-tls';

async function issued(spec?: object): Promise<{ tenant: Tenant; secret: Secret }> {
  const tenant = await world.tenantWith('contested', spec);
  return { tenant, secret: await tenant.secret(name) };
}

/** Patches the Secret as another writer, with its own field manager. */
const patchAs = ({ namespace }: Tenant, manager: string, patch: object): Promise<Secret> =>
  world.api.patch(`${paths.secrets(namespace, name)}?fieldManager=${manager}`, patch);

/** Waits until the operator has undone the change. */
const repaired = (tenant: Tenant, isUndone: (secret: Secret) => boolean): Promise<Secret> =>
  eventually(async () => {
    const secret = await tenant.secret(name);
    assert.ok(isUndone(secret), 'the Secret is not repaired');
    return secret;
  });

const holdsCertificate = (secret: Secret): boolean => fileOf(secret, 'tls.crt').startsWith('-----BEGIN CERTIFICATE');

/** Uses up the three immediate repairs, and damages the Secret once more. */
async function contest(tenant: Tenant, manager: string, damage: object, isUndone: (secret: Secret) => boolean) {
  for (let i = 0; i < 3; i += 1) {
    await patchAs(tenant, manager, damage);
    await repaired(tenant, isUndone);
  }
  await patchAs(tenant, manager, damage);
}

const serialOf = async (tenant: Tenant): Promise<string | undefined> =>
  (await tenant.get('db')).status?.secrets?.[0]?.serialNumber;

/** The number of distinct keys and certificates that the Secret has ever had. */
async function everSeen(tenant: Tenant): Promise<{ keys: number; certificates: number }> {
  const states = await world.watched.upTo(await tenant.secret(name));
  const certificates = states.filter(holdsCertificate).map(({ data }) => data?.['tls.crt']);
  return {
    keys: new Set(states.map(({ data }) => data?.['tls.key'])).size,
    certificates: new Set(certificates).size,
  };
}

const retry = (tenant: Tenant, token: string): Promise<unknown> =>
  tenant.patch('db', { metadata: { annotations: { 'mtls-operator.io/retry': token } } });

describe('7. A contested Secret', { concurrency: 6 }, () => {
  test('is repaired immediately three times; after that, SecretContested names the field manager', async () => {
    const { tenant, secret } = await issued();
    await contest(tenant, 'secret-syncer', { data: { 'tls.crt': base64('theirs') } }, holdsCertificate);
    const { message } = await tenant.notReady('db', 'SecretContested');
    assert.match(
      message,
      /^server: Secret db-server-tls is changed again and again by secret-syncer \(data\.tls\.crt\): /,
    );
    const { status } = await tenant.get('db');
    const [entry] = status?.secrets ?? [];
    assert.equal(entry?.repairs?.count, 3);
    assert.equal(entry?.repairs?.changedBy, 'secret-syncer (data.tls.crt)');
    // The key was never damaged, so the operator generated no new one. Status lists the serials of all certificates.
    assert.deepEqual(await everSeen(tenant), { keys: 1, certificates: 4 });
    assert.equal(entry?.replaced?.length, 3);
    assert.equal((await tenant.secret(name)).data?.['tls.key'], secret.data?.['tls.key']);
    const events = await eventually(async () => {
      const all = await world.api.list<{ reason: string; regarding: { namespace: string } }>(paths.events);
      const found = all.filter(
        ({ reason, regarding }) => reason === 'SecretContested' && regarding.namespace === tenant.namespace,
      );
      assert.ok(found.length > 0);
      return found;
    });
    assert.equal(events.length, 1);
  });

  test('gets a bounded number of certificates while a writer keeps changing it', async () => {
    const { tenant } = await issued();
    const stop = new AbortController();
    let writes = 0;
    const writing = (async () => {
      while (!stop.signal.aborted) {
        const change = patchAs(tenant, 'quick-writer', { data: { 'tls.key': base64(`theirs ${writes}`) } });
        // The API server refuses some of the writes because of the operator's: the writer tries again.
        await change.then(
          () => (writes += 1),
          () => {},
        );
      }
    })();
    try {
      await tenant.notReady('db', 'SecretContested');
      const before = writes;
      await eventually(async () => assert.ok(writes > before + 100), { timeoutMs: 60_000 });
      const { status } = await tenant.get('db');
      assert.equal(status?.conditions?.[0]?.reason, 'SecretContested');
      const { revision = 0 } = status?.secrets?.[0] ?? {};
      assert.ok(revision <= 5, `${revision} certificates after ${writes} changes`);
    } finally {
      stop.abort();
      await writing;
    }
  });

  test('is repaired a bounded number of times when only its metadata is changed', async () => {
    const { tenant, secret } = await issued();
    const damage = { metadata: { labels: { 'mtls-operator.io/role': 'theirs' } } };
    await contest(
      tenant,
      'labeller',
      damage,
      ({ metadata }) => metadata.labels?.['mtls-operator.io/role'] === 'server',
    );
    const { message } = await tenant.notReady('db', 'SecretContested');
    assert.match(message, /by labeller \(metadata\.labels\.mtls-operator\.io\/role\)/);
    assert.equal((await tenant.secret(name)).data?.['tls.crt'], secret.data?.['tls.crt']);
    assert.deepEqual(await everSeen(tenant), { keys: 1, certificates: 1 });
  });

  test('keeps its certificate and key when only ca.crt is changed', async () => {
    const { tenant, secret } = await issued();
    const isUndone = ({ data }: Secret) => data?.['ca.crt'] === secret.data?.['ca.crt'];
    await contest(tenant, 'bundler', { data: { 'ca.crt': base64('theirs') } }, isUndone);
    const { message } = await tenant.notReady('db', 'SecretContested');
    assert.match(message, /by bundler \(data\.ca\.crt\)/);
    assert.deepEqual(await everSeen(tenant), { keys: 1, certificates: 1 });
  });

  test('is created again three times after deletions; after that, the condition points to the audit log', async () => {
    const { tenant } = await issued();
    const remove = () => world.api.delete(paths.secrets(tenant.namespace, name));
    for (let i = 0; i < 3; i += 1) {
      const { metadata } = await tenant.secret(name);
      await remove();
      await repaired(tenant, (secret) => secret.metadata.uid !== metadata.uid).catch((error: unknown) => {
        if (!String(error).includes('404')) throw error;
      });
      await eventually(() => tenant.secret(name));
    }
    await remove();
    const { message } = await tenant.notReady('db', 'SecretContested');
    assert.match(message, /is deleted again and again by another client \(the audit log/);
  });

  test('is repaired immediately for a new rotate token and for the retry annotation', async () => {
    const { tenant } = await issued();
    const damage = { data: { 'tls.crt': base64('theirs') } };
    await contest(tenant, 'secret-syncer', damage, holdsCertificate);
    await tenant.notReady('db', 'SecretContested');
    await tenant.rotate('db', 'now');
    const rotated = await judge(await repaired(tenant, holdsCertificate));
    await patchAs(tenant, 'secret-syncer', damage);
    await tenant.notReady('db', 'SecretContested');
    await retry(tenant, 'first');
    const retried = await tenant.ready('db');
    assert.equal(retried.status?.lastHandledRetry, 'first');
    assert.equal(retried.status?.secrets?.[0]?.repairs, undefined);
    assert.equal((await judge(await tenant.secret(name))).publicKey, rotated.publicKey);
  });

  test('names the field manager of a server-side apply in its condition', async () => {
    const { tenant } = await issued();
    const apply = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { 'tls.crt': base64('theirs') } };
    const path = `${paths.secrets(tenant.namespace, name)}?fieldManager=argo&force=true`;
    for (let i = 0; i < 3; i += 1) {
      await world.api.apply(path, apply);
      await repaired(tenant, holdsCertificate);
    }
    await world.api.apply(path, apply);
    const { message } = await tenant.notReady('db', 'SecretContested');
    assert.match(message, /by argo \(data\.tls\.crt\)/);
  });
});

test('7. A contested Secret stays contested after a restart without an extra repair, and becomes Ready automatically when the changes stop (90 s: repairs pause for half a minute and more)', async () => {
  const { tenant } = await issued();
  const damage = { data: { 'tls.crt': base64('theirs') } };
  await contest(tenant, 'secret-syncer', damage, holdsCertificate);
  const { message } = await tenant.notReady('db', 'SecretContested');
  const before = await serialOf(tenant);
  const { lastTime = '' } = (await tenant.get('db')).status?.secrets?.[0]?.repairs ?? {};
  await world.restart();
  assert.equal((await tenant.notReady('db', 'SecretContested')).message, message);
  // The pause of half a minute counts from the last repair, whichever replica leads.
  const secret = await eventually(
    async () => {
      const found = await tenant.secret(name);
      assert.ok(holdsCertificate(found));
      return found;
    },
    { timeoutMs: 60_000 },
  );
  assert.ok(Date.now() >= Date.parse(lastTime) + 26_000, 'the restart caused an extra repair');
  assert.notEqual((await judge(secret)).serialNumber, before);
  await tenant.notReady('db', 'SecretContested');
  await eventually(async () => assert.equal((await tenant.get('db')).status?.conditions?.[0]?.status, 'True'), {
    timeoutMs: 90_000,
    message: 'the resource is still contested',
  });
});
