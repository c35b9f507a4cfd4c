import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { base64, paths, type Secret, type Stored } from '../../support/api.ts';
import { broughtRoot } from '../../support/behaviours/brought-root.ts';
import { digestOf, fileOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';

const world = installation();

const server = { server: { service: 'db' } };
const name = 'db-server-tls';

/** A tenant with one Secret, to which another client added labels, annotations and data. */
async function tenantWithSecret(spec?: object): Promise<{ tenant: Tenant; secret: Secret }> {
  const tenant = await world.tenantWith('repair', spec);
  const secret = await tenant.patchSecret(name, {
    metadata: { labels: { 'example.com/team': 'data' }, annotations: { 'example.com/note': 'kept' } },
    data: { 'extra.txt': base64('theirs') },
  });
  return { tenant, secret };
}

/**
 * Waits until openssl accepts the Secret and its labels are correct. Asserts that the additions of other clients are kept.
 */
async function repaired(tenant: Tenant, isRepaired: (secret: Secret) => void = () => undefined): Promise<Secret> {
  const secret = await eventually(
    async () => {
      const found = await tenant.secret(name);
      isRepaired(found);
      await judge(found);
      assert.partialDeepStrictEqual(found.metadata.labels, {
        'app.kubernetes.io/managed-by': 'mtls-operator',
        'mtls-operator.io/certificate': 'db',
        'mtls-operator.io/role': 'server',
      });
      return found;
    },
    { message: 'the Secret is not repaired' },
  );
  assert.equal(secret.metadata.labels?.['example.com/team'], 'data');
  assert.equal(secret.metadata.annotations?.['example.com/note'], 'kept');
  assert.equal(fileOf(secret, 'extra.txt'), 'theirs');
  return secret;
}

describe('repair', { concurrency: 4 }, () => {
  test('4. A deleted Secret is created again with a new key', async () => {
    const { tenant, secret } = await tenantWithSecret();
    const before = await judge(secret);
    await world.api.delete(`/api/v1/namespaces/${tenant.namespace}/secrets/${name}`);
    const again = await eventually(() => tenant.secret(name));
    assert.notEqual(again.metadata.uid, secret.metadata.uid);
    assert.notEqual((await judge(again)).publicKey, before.publicKey);
    await eventually(async () => assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 2));
  });

  const corruptions: Record<string, (secret: Secret) => Promise<object> | object> = {
    'a corrupted tls.crt': () => ({
      'tls.crt': base64('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    }),
    'an emptied tls.crt': () => ({ 'tls.crt': '' }),
    'a truncated tls.crt': (secret) => ({ 'tls.crt': base64(fileOf(secret, 'tls.crt').slice(0, 300)) }),
    'an emptied tls.key': () => ({ 'tls.key': '' }),
    'the tls.key of another certificate': async () => ({ 'tls.key': (await otherSecret()).data?.['tls.key'] }),
    'the key pair of another resource': async () => {
      const { data } = await otherSecret();
      return { 'tls.crt': data?.['tls.crt'], 'tls.key': data?.['tls.key'] };
    },
    'a file that is not text': () => ({ 'tls.crt': Buffer.from([0, 255, 254]).toString('base64'), 'ca.crt': '/w==' }),
  };
  for (const [what, corrupt] of Object.entries(corruptions)) {
    test(`4. Repair: ${what} is replaced, and additions of other clients are kept`, async () => {
      const { tenant, secret } = await tenantWithSecret();
      const { serialNumber } = await judge(secret);
      await tenant.patchSecret(name, { data: await corrupt(secret) });
      const reissued = await repaired(tenant, ({ metadata: { annotations } }) =>
        assert.equal(annotations?.['mtls-operator.io/revision'], '2'),
      );
      const after = await judge(reissued);
      assert.notEqual(after.serialNumber, serialNumber);
      assert.ok(after.names.includes(`DNS:db.${tenant.namespace}.svc`));
    });
  }

  for (const [what, damage] of Object.entries<(secret: Secret) => object>({
    'a corrupted ca.crt': () => ({ 'ca.crt': base64('garbage') }),
    'a removed ca.crt': () => ({ 'ca.crt': null }),
    'a tls.crt with a second certificate after its own': (secret) => ({
      'tls.crt': base64(fileOf(secret, 'tls.crt') + fileOf(secret, 'ca.crt')),
    }),
    'a tls.crt with a second certificate before its own': (secret) => ({
      'tls.crt': base64(fileOf(secret, 'ca.crt') + fileOf(secret, 'tls.crt')),
    }),
    'a tls.crt with other line endings': (secret) => ({
      'tls.crt': base64(fileOf(secret, 'tls.crt').replaceAll('\n', '\r\n')),
    }),
  })) {
    test(`4. Repair: ${what} is repaired, and key and certificate stay`, async () => {
      const { tenant, secret } = await tenantWithSecret();
      await tenant.patchSecret(name, { data: damage(secret) });
      const after = await repaired(tenant, ({ data }) =>
        assert.ok(data?.['tls.crt'] === secret.data?.['tls.crt'] && data?.['ca.crt'] === secret.data?.['ca.crt']),
      );
      assert.equal(after.metadata.annotations?.['mtls-operator.io/revision'], '1');
      assert.ok(after.data?.['tls.key'] === secret.data?.['tls.key'], 'the key changed');
    });
  }

  test('4. Repair: a foreign root that was added to ca.crt is removed', async () => {
    const { tenant, secret } = await tenantWithSecret();
    const stranger = (await broughtRoot())['tls.crt'];
    await tenant.patchSecret(name, { data: { 'ca.crt': base64(fileOf(secret, 'ca.crt') + stranger) } });
    await repaired(tenant, ({ data }) =>
      assert.ok(data?.['ca.crt'] === secret.data?.['ca.crt'], 'the foreign root is still in ca.crt'),
    );
  });

  const metadata: Record<string, object> = {
    'a removed label that the watch selects by': { labels: { 'app.kubernetes.io/managed-by': null } },
    'a change of all its labels': {
      labels: {
        'app.kubernetes.io/managed-by': 'Helm',
        'mtls-operator.io/certificate': null,
        'mtls-operator.io/role': 'x',
      },
    },
    'a removed revision annotation': { annotations: { 'mtls-operator.io/revision': null } },
  };
  for (const [what, change] of Object.entries(metadata)) {
    test(`4. Repair: ${what} is repaired, and the certificate stays`, async () => {
      const { tenant, secret } = await tenantWithSecret();
      await tenant.patchSecret(name, { metadata: change });
      const after = await repaired(tenant, ({ metadata: { annotations } }) =>
        assert.equal(annotations?.['mtls-operator.io/revision'], '1'),
      );
      assert.deepEqual(after.data?.['tls.crt'], secret.data?.['tls.crt']);
      assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 1);
    });
  }

  test('4. Repair: with rotationPolicy Never, an emptied tls.crt is issued again for the same key', async () => {
    const { tenant, secret } = await tenantWithSecret({ ...server, privateKey: { rotationPolicy: 'Never' } });
    await tenant.patchSecret(name, { data: { 'tls.crt': '' } });
    const after = await repaired(tenant);
    assert.ok(after.data?.['tls.key'] === secret.data?.['tls.key'], 'the key changed');
  });

  test('4. Repair: an emptied tls.crt is issued again for the same key', async () => {
    const { tenant, secret } = await tenantWithSecret();
    const before = await judge(secret);
    await eventually(async () => assert.ok((await tenant.get('db')).status?.secrets?.[0]?.publicKeyFingerprint));
    await tenant.patchSecret(name, { data: { 'tls.crt': '' } });
    const after = await judge(await repaired(tenant));
    assert.equal(after.publicKey, before.publicKey);
    assert.notEqual(after.serialNumber, before.serialNumber);
  });

  test('4. Repair: a tls.key from another writer is never signed, even with rotationPolicy Never', async () => {
    const { tenant, secret } = await tenantWithSecret({ ...server, privateKey: { rotationPolicy: 'Never' } });
    const stranger = (await otherSecret()).data?.['tls.key'];
    await tenant.patchSecret(name, { data: { 'tls.crt': '', 'tls.key': stranger } });
    const after = await repaired(tenant);
    assert.ok(after.data?.['tls.key'] !== stranger, 'the key of another writer was signed');
    assert.ok(after.data?.['tls.key'] !== secret.data?.['tls.key']);
  });

  test('4. Repair: an immutable Secret is created again when it has to be rotated', async () => {
    const { tenant, secret } = await tenantWithSecret();
    await world.api.patch(`/api/v1/namespaces/${tenant.namespace}/secrets/${name}`, { immutable: true });
    await tenant.rotate('db', 'now');
    await tenant.ready('db');
    const after = await tenant.secret(name);
    assert.notEqual(after.metadata.uid, secret.metadata.uid);
    await judge(after);
  });

  test('4. Repair: an immutable Secret is created again with the same key, and an event has the reason', async () => {
    const { tenant, secret } = await tenantWithSecret();
    await tenant.patchSecret(name, { immutable: true });
    const after = await eventually(async () => {
      const found = await tenant.secret(name);
      assert.notEqual(found.metadata.uid, secret.metadata.uid);
      return found;
    });
    assert.ok(after.data?.['tls.key'] === secret.data?.['tls.key'], 'the key changed');
    await tenant.ready('db');
    type Event = Stored & {
      readonly reason?: string;
      readonly note?: string;
      readonly regarding?: { namespace?: string };
    };
    await eventually(async () => {
      const event = (await world.api.list<Event>(paths.events)).find(
        ({ regarding, reason }) => regarding?.namespace === tenant.namespace && reason === 'SecretDeleted',
      );
      assert.match(event?.note ?? '', /to replace it: the Secret is immutable/);
    });
  });

  test('4. Repair: an immutable Secret with a finalizer is reported as SecretImmutable, and the command in the message resolves it', async () => {
    const { tenant, secret } = await tenantWithSecret();
    await tenant.patchSecret(name, { immutable: true, metadata: { finalizers: ['example.com/hold'] } });
    const { message } = await tenant.notReady('db', 'SecretImmutable');
    const [, patch] = /patch secret \S+ --type merge --patch '([^']+)'/.exec(message) ?? [];
    await tenant.patchSecret(name, JSON.parse(patch ?? '') as object);
    await tenant.ready('db');
    const after = await tenant.secret(name);
    assert.notEqual(after.metadata.uid, secret.metadata.uid);
    await judge(after);
  });

  test('4. Repair is immediate the first three times, and the resource is Ready afterwards', async () => {
    const { tenant } = await tenantWithSecret();
    for (let i = 0; i < 3; i++) {
      await tenant.patchSecret(name, { data: { 'tls.crt': base64(`corrupted ${i}`) } });
      await repaired(tenant);
    }
    const { status } = await tenant.ready('db');
    await eventually(async () => assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 4));
    assert.equal(status?.failedIssuanceAttempts, undefined);
  });
});

describe('secretTemplate', () => {
  test('4. Labels and annotations of the template are added to the Secret, changed and removed with the template', async () => {
    const tenant = await world.tenant('template');
    const template = { labels: { app: 'db', tier: 'a' }, annotations: { 'example.com/reload': 'yes' } };
    await tenant.issue('db', { ...server, secretTemplate: template });
    const first = await tenant.patchSecret(name, { metadata: { labels: { 'example.com/team': 'data' } } });
    assert.partialDeepStrictEqual(first.metadata, template);

    await tenant.patch('db', { spec: { secretTemplate: { labels: { tier: 'b', app: null }, annotations: null } } });
    await eventually(async () => {
      const { labels, annotations } = (await tenant.secret(name)).metadata;
      assert.equal(labels?.['tier'], 'b');
      assert.equal(labels?.['app'], undefined);
      assert.equal(annotations?.['example.com/reload'], undefined);
    });
    await tenant.patch('db', { spec: { secretTemplate: null } });
    await eventually(async () => assert.equal((await tenant.secret(name)).metadata.labels?.['tier'], undefined));
    const last = await tenant.secret(name);
    assert.equal(last.metadata.labels?.['example.com/team'], 'data');
    assert.equal(last.data?.['tls.crt'], first.data?.['tls.crt'], 'a change of labels issued the certificate again');
  });

  test('4. A label of the template that another client changes or removes is restored', async () => {
    const tenant = await world.tenantWith('template', {
      ...server,
      secretTemplate: { labels: { app: 'db', tier: 'a' } },
    });
    const digest = digestOf({ ...(await tenant.secret(name)), metadata: { name } as Secret['metadata'] });
    await tenant.patchSecret(name, { metadata: { labels: { app: 'other', tier: null } } });
    await eventually(async () =>
      assert.partialDeepStrictEqual((await tenant.secret(name)).metadata.labels, { app: 'db', tier: 'a' }),
    );
    assert.equal(digestOf({ ...(await tenant.secret(name)), metadata: { name } as Secret['metadata'] }), digest);
  });
});

async function otherSecret(): Promise<Secret> {
  const tenant = await world.tenantWith('other', server);
  return tenant.secret(name);
}
