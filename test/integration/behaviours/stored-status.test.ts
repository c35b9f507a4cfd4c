import assert from 'node:assert/strict';
import { test } from 'node:test';
import { misfit, schemas } from '../../../src/api/schema.ts';
import { authorityRecord, certificateRecord } from '../../../src/controllers/objects/resources.ts';
import { paths } from '../../support/api.ts';
import { damaged } from '../../support/damaged.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import * as fc from '../../support/properties.ts';

// One worker reconciles in the order of the requests.
const world = installation({ args: ['--workers=1'] });

const both = { server: { service: 'db' }, client: { serviceAccount: 'db' } };

test('An upgrade from the version that wrote authorityFingerprint changes no Secret, and keeps every certificate in status', async () => {
  const tenant = await world.tenant('upgrade');
  await tenant.create('db', both);
  for (const token of ['a', 'b']) {
    await tenant.ready('db');
    await tenant.rotate('db', token);
  }
  const { status } = await tenant.ready('db');
  const secrets = await tenant.secrets();
  const oldNames: unknown = JSON.parse(JSON.stringify(status?.secrets).replaceAll('rootF', 'authorityF'));
  const path = paths.certificates(tenant.namespace, 'db');
  await world.restart(async () => {
    await world.api.patch(`${path}/status`, { status: { secrets: oldNames } });
    assert.deepEqual((await tenant.get('db')).status?.secrets, oldNames, 'the API server must keep the old field name');
  });
  await eventually(async () => assert.deepEqual((await tenant.get('db')).status, status));
  const once = await tenant.get('db');
  await world.restart();
  await tenant.issue('next', { server: { service: 'next' } });
  assert.deepEqual(await tenant.get('db'), once);
  const after = await tenant.secrets();
  assert.deepEqual(
    after.filter(({ metadata }) => metadata.name.startsWith('db-')),
    secrets,
  );
});

// The operator reads status within the bounds of the schema, which the API server enforces.
test('The API server accepts every status that the operator reads from a damaged one', async (t) => {
  const tenant = await world.tenantWith('damaged', both);
  await tenant.rotate('db', 'a');
  const kinds = [
    { path: paths.certificates(tenant.namespace, 'db'), stored: await tenant.ready('db'), read: certificateRecord },
    { path: paths.authorities('default'), stored: await world.authorityIs('default', 'True'), read: authorityRecord },
  ];
  await world.operator.stop();
  for (const { path, stored, read } of kinds) {
    const nothing = Object.fromEntries(Object.keys(stored.status ?? {}).map((name) => [name, null]));
    const changed = { hits: 0, of: 0 };
    for (const status of fc.sample(damaged(stored.status), { numRuns: 150, seed: 20_261_129 })) {
      const record = read({ ...stored, status } as Parameters<typeof read>[0] as never);
      const { status: kept } = await world.api.patch<{ status?: object }>(`${path}/status`, {
        status: { ...nothing, ...record.status },
      });
      assert.equal(misfit(schemas[stored.kind].status, kept, 'status'), undefined);
      changed.of += 1;
      if (JSON.stringify(record.status) !== JSON.stringify(status)) changed.hits += 1;
    }
    t.diagnostic(`${stored.kind}: the operator reads ${changed.hits} of ${changed.of} statuses with changes`);
  }
});
