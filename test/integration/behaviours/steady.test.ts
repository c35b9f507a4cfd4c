import assert from 'node:assert/strict';

import { test } from 'node:test';

import { paths, type Stored } from '../../support/api.ts';
import { fileOf, fingerprintOf, judge, publicKeyOf } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Certificate, installation, type Tenant } from '../../support/installation.ts';

const count = 200;
const names = Array.from({ length: count }, (_, i) => `db-${i}`);
const roles = { server: { service: 'db' }, client: { serviceAccount: 'db' } };

let tenant: Tenant;
const world = installation({ operator: false }, async () => {
  tenant = await world.tenant('steady');
});

/** The samples of a metric of the current operator, by labels. */
async function metric(name: string): Promise<{ labels: string; value: number }[]> {
  const text = await (await fetch(`${world.operator.url}/metrics`)).text();
  return [...text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(([, labels = '', value]) => ({
    labels,
    value: Number(value),
  }));
}

const sumOf = (samples: readonly { value: number }[]): number => samples.reduce((sum, { value }) => sum + value, 0);

/** How often the current operator has reconciled certificates. */
const reconciles = async (): Promise<number> =>
  sumOf(
    (await metric('controller_runtime_reconcile_total')).filter(({ labels }) =>
      labels.includes('controller="certificate"'),
    ),
  );

/** The name and resourceVersion of every object that the operator may write, except the Lease and events. */
async function resourceVersions(): Promise<string[]> {
  const collections = ['/api/v1/secrets', '/apis/mtls-operator.io/v1alpha1/mtlscertificates', paths.authorities()];
  const lists = await Promise.all(collections.map((path) => world.api.list(path)));
  const describe = ({ metadata: { namespace = '', name, resourceVersion } }: Stored): string =>
    `${namespace}/${name} at ${resourceVersion}`;
  return lists.flatMap((list, i) => list.map((object) => `${collections[i]}: ${describe(object)}`));
}

const all = (): Promise<readonly Certificate[]> => world.api.list(paths.certificates(tenant.namespace));

async function allReady(): Promise<void> {
  await eventually(
    async () => {
      const ready = (await all()).filter(({ status }) =>
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
      );
      assert.equal(ready.length, count);
    },
    { timeoutMs: 120_000, message: 'not all resources are Ready' },
  );
}

test('2. A stop in the middle of the work is clean: started reconciles are finished, and the Lease is released (30 s: 400 certificates are issued)', async () => {
  await world.start();
  const half = count / 2;
  const creating = Promise.all(names.slice(0, half).map((name) => tenant.create(name, roles)));
  await eventually(async () => assert.ok((await tenant.secrets()).length >= 10, 'too few Secrets exist'));
  // Also asserts that the exit code is 0.
  await world.operator.stop();
  await creating;

  const lease = await world.api.get<{ spec: { holderIdentity?: string } }>(paths.lease);
  assert.equal(lease.spec.holderIdentity, '');
  const known = new Set(
    (await all()).flatMap(({ status }) => status?.secrets?.map(({ fingerprint }) => fingerprint) ?? []),
  );
  for (const secret of await tenant.secrets()) {
    const fingerprint = await fingerprintOf(fileOf(secret, 'tls.crt'));
    assert.ok(known.has(fingerprint), `no status has the certificate of Secret ${secret.metadata.name}`);
  }

  await Promise.all(names.slice(half).map((name) => tenant.create(name, roles)));
  await world.start();
  await allReady();
  const secrets = await tenant.secrets();
  assert.equal(secrets.length, 2 * count);
  const [last] = secrets.slice(-1);
  assert.ok(last !== undefined);
  await world.watched.upTo(last);
  for (const secret of secrets) {
    const states = await world.watched.upTo(secret);
    assert.equal(new Set(states.map(({ data }) => data?.['tls.key'])).size, 1, 'a Secret has had more than one key');
  }
});

test('1. A Secret is never half new: in every state that a watch reports, key, certificate and bundle belong together', async () => {
  // Only a sample of the resources, because each of them is rotated and gets other names.
  const some = names.slice(0, 5);
  for (const name of some) await tenant.rotate(name, 'once');
  for (const name of some) await tenant.ready(name);
  for (const name of some) await tenant.patch(name, { spec: { server: { service: 'other' } } });
  for (const name of some) {
    await tenant.ready(name);
    const states = await world.watched.upTo(await tenant.secret(`${name}-server-tls`));
    for (const state of states) await judge(state);
    const keys = await Promise.all(states.map(publicKeyOf));
    const revisions = states.map(({ metadata }) => metadata.annotations?.['mtls-operator.io/revision']);
    assert.deepEqual([revisions, new Set(keys).size], [['1', '2', '3'], 3]);
  }
});

test('3. Steady state writes nothing: a restart with 200 healthy certificates changes no object', async () => {
  await allReady();
  const counted = async (): Promise<void> => {
    const authority = await world.authority('default');
    assert.equal(authority.status?.certificates, count);
  };
  await eventually(counted);
  const before = await resourceVersions();
  assert.ok(before.length > 3 * count);
  await world.restart();
  await eventually(async () => {
    const sum = await reconciles();
    assert.ok(sum >= count, `${sum} of ${count} certificates were reconciled`);
    assert.equal(sumOf(await metric('workqueue_depth')), 0);
  });
  assert.deepEqual(await resourceVersions(), before);

  const requests = await metric('rest_client_requests_total');
  assert.ok(
    requests.some(({ labels }) => /verb="list".*resource="secrets"/.test(labels)),
    'requests are not counted',
  );
  const reads = /verb="(get|list|watch)"/;
  const writes = requests.filter(({ labels }) => !reads.test(labels) && !labels.includes('resource="leases"'));
  assert.deepEqual(writes, []);
  assert.deepEqual(await metric('mtls_operator_issued_total'), []);
});

test('3. Steady state writes nothing: neither a metadata change nor a repeated apply of the same spec causes a write', async () => {
  const [name = ''] = names;
  const before = (await resourceVersions()).filter((line) => !line.includes(`/${name} at`));
  const reconciledBefore = await reconciles();
  await tenant.patch(name, { metadata: { labels: { 'example.com/touched': 'yes' } } });
  const touched = await tenant.patch(name, { spec: (await tenant.get(name)).spec });
  await eventually(async () => assert.ok((await reconciles()) > reconciledBefore, 'the resource was not reconciled'));
  const after = await resourceVersions();
  assert.deepEqual(
    after.filter((line) => !line.includes(`/${name} at`)),
    before,
  );
  assert.equal((await tenant.get(name)).metadata.resourceVersion, touched.metadata.resourceVersion);
});
