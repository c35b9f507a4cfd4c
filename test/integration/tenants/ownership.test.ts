import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';

import { paths, type Secret } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { type Certificate, installation, type Tenant } from '../../support/installation.ts';
import { wholePage } from '../../support/page.ts';
import { type Exchange, recordRequests } from '../../support/proxy.ts';
import { scratchFolder } from '../../support/scratch.ts';

// A user with the role `edit` in one namespace writes ownerReferences of Secrets there.
describe("a tenant that names another tenant's resource as owner", () => {
  let requests: readonly Exchange[] = [];
  const world = installation({ operator: false }, async ({ proxy }) => {
    requests = recordRequests(proxy);
    await world.start({ server: proxy.server });
  });

  const about = ({ namespace }: Tenant, method?: string): Exchange[] =>
    requests.filter(
      (sent) =>
        sent.path.startsWith(`${paths.secrets(namespace)}/`) && (method === undefined || sent.method === method),
    );

  test('does not make the operator read or delete its Secrets, however many have the UID of that resource', async (t) => {
    const [victim, attacker] = [await world.tenant('victim'), await world.tenant('attacker')];
    const { metadata } = await victim.issue('db', { server: { service: 'db' } });
    const { metadata: original, type, data } = await victim.secret('db-server-tls');
    const owner = {
      apiVersion: 'mtls-operator.io/v1alpha1',
      kind: 'MtlsCertificate',
      name: 'db',
      uid: metadata.uid,
      controller: true,
    };
    const names = Array.from({ length: 150 }, (_, i) => `forged-${i}`);
    for (const name of names) {
      await world.api.create(paths.secrets(attacker.namespace), {
        metadata: {
          name,
          labels: original.labels,
          annotations: { ...original.annotations, 'mtls-operator.io/secret-name': name },
          ownerReferences: [owner],
          // The garbage collector deletes objects without an existing owner in their namespace. The finalizer keeps them.
          finalizers: ['example.com/hold'],
        },
        type,
        data,
      });
    }
    for (const token of ['one', 'two', 'three']) {
      await victim.rotate('db', token);
      await victim.ready('db');
    }
    t.diagnostic(`requests about ${names.length} Secrets of the attacker: ${about(attacker).length}`);
    assert.deepEqual(about(attacker), []);
    assert.ok(about(victim).length > 0, 'there must be requests for the Secret of the victim');
  });

  test('makes the operator delete each of its own Secrets once, even if a finalizer keeps the Secret', async () => {
    const tenant = await world.tenantWith('held', { server: { service: 'db', secretName: 'former' } });
    await tenant.patchSecret('former', { metadata: { finalizers: ['example.com/hold'] } });
    await tenant.patch('db', { spec: { server: { service: 'db', secretName: 'present' } } });
    await tenant.ready('db');
    await eventually(async () => {
      const { metadata } = await world.api.get<Secret & { metadata: { deletionTimestamp?: string } }>(
        paths.secrets(tenant.namespace, 'former'),
      );
      assert.ok(metadata.deletionTimestamp !== undefined);
    });
    for (const token of ['one', 'two']) {
      await tenant.rotate('db', token);
      await tenant.ready('db');
    }
    assert.equal(about(tenant, 'DELETE').length, 1);
    await tenant.patchSecret('former', { metadata: { finalizers: null } });
  });

  test('makes the operator read a foreign Secret of 1 MB with 200 claims only a few times, and never its content', async (t) => {
    const tenant = await world.tenant('claims');
    const data = { file: Buffer.alloc(1_000_000, 'x').toString('base64') };
    await world.api.create(paths.secrets(tenant.namespace), { metadata: { name: 'large' }, data });
    const names = Array.from({ length: 200 }, (_, i) => `claim-${i}`);
    const isRead = ({ method, path }: Exchange) =>
      method === 'GET' && path === paths.secrets(tenant.namespace, 'large');
    const allConflict = (count: number) =>
      eventually(
        async () => {
          const all = await world.api.list<Certificate>(paths.certificates(tenant.namespace));
          const reasons = all.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.reason);
          assert.equal(reasons.filter((reason) => reason === 'SecretConflict').length, count);
        },
        { timeoutMs: 60_000 },
      );
    for (let i = 0; i < names.length; i += 20) {
      const some = names.slice(i, i + 20);
      await Promise.all(some.map((name) => tenant.create(name, { server: { service: 'db', secretName: 'large' } })));
    }
    await allConflict(names.length);
    // Other resources may now have the name, so the operator reconciles all of them again.
    for (const name of names.slice(0, 3)) {
      await tenant.delete(name);
      await eventually(async () =>
        assert.equal(await world.api.find(paths.certificates(tenant.namespace, name)), undefined),
      );
    }
    await tenant.patch('claim-10', { spec: { duration: '24h' } });
    await eventually(async () => {
      const { status, metadata } = await tenant.get('claim-10');
      assert.equal(status?.observedGeneration, (metadata as { generation?: number }).generation);
    });
    await allConflict(names.length - 3);
    const reads = requests.filter(isRead);
    t.diagnostic(`${reads.length} reads of the Secret for ${names.length} resources and 4 changes`);
    assert.ok(reads.length > 0 && reads.length < 50, `${reads.length} reads`);
    assert.deepEqual(
      reads.filter(({ accept }) => !accept.includes('PartialObjectMetadata')),
      [],
    );
  });

  test('can find its Secrets without a resource with the commands of docs/how-to/rotate-the-root.md', async () => {
    const tenant = await world.tenant('kept');
    await tenant.create('kept', { server: { service: 'db' }, deletionPolicy: 'Retain' });
    await tenant.create('stays', { server: { service: 'db' } });
    for (const name of ['kept', 'stays']) await tenant.ready(name);
    await tenant.delete('kept');
    const commands = wholePage('docs/how-to/rotate-the-root.md').commands.filter((command) =>
      /labelled\.txt|existing\.txt/.test(command),
    );
    const cwd = await scratchFolder('ownership');
    const PATH = `${dirname(world.cluster.binaries.kubectl)}:${process.env['PATH']}`;
    const env = { ...process.env, PATH, KUBECONFIG: world.cluster.kubeconfig };
    await eventually(() => {
      const found = execFileSync('bash', ['-c', commands.join('\n')], { cwd, env, encoding: 'utf8' });
      const lines = found.split('\n').filter((line) => line.startsWith(tenant.namespace));
      assert.deepEqual(lines, [`${tenant.namespace}/kept`]);
    });
  });
});
