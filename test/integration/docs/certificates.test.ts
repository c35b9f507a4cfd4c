import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type ConfigMap, paths } from '../../support/api.ts';
import { fileOf } from '../../support/behaviours/judge.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { installation } from '../../support/installation.ts';

// The pages share a cluster, in the order in which a reader meets them.
const world = installation();

runPage('docs/how-to/issue-certificates.md', world);
runPage('docs/how-to/mount-certificates.md', world);
runPage('docs/how-to/reload-certificates.md', world);

let serials: Readonly<Record<string, string>>;
runPage('docs/how-to/rotate-certificates.md', world, {
  before: async () => {
    serials = await world.tenantOf('shop').serials('payments');
  },
  after: {
    Steps: async () => {
      const now = await world.tenantOf('shop').serials('payments');
      for (const [role, serial] of Object.entries(now)) assert.notEqual(serial, serials[role], role);
    },
  },
});

runPage('docs/how-to/revoke-certificates.md', world, {
  after: {
    'Revoke the certificates of a resource': async ({ folder }) => {
      const noted = readFileSync(join(folder, 'serials.txt'), 'utf8').trim().split('\n');
      const [crl] = await world.crls('mtls-root');
      const revoked = crl?.revoked.map(({ serialNumber }) => serialNumber) ?? [];
      for (const serial of noted) assert.ok(revoked.includes(serial), serial);
      for (const serial of Object.values(await world.tenantOf('shop').serials('payments')))
        assert.ok(!revoked.includes(serial), 'the new certificate is revoked');
    },
  },
});

runPage('docs/how-to/grant-names.md', world);

runPage('docs/how-to/publish-roots.md', world, {
  after: {
    Steps: async () => {
      const { data } = await world.api.get<ConfigMap>(paths.configMaps('storefront', 'mtls-trust'));
      const secret = await world.tenantOf('shop').secret('payments-client-tls');
      assert.equal(data?.['ca.crt'], fileOf(secret, 'ca.crt'));
    },
  },
});

runPage('docs/how-to/output-formats.md', world, {
  after: {
    Steps: async () => {
      const { data } = await world.tenantOf('shop').secret('orders-peer-tls');
      assert.deepEqual(Object.keys(data ?? {}).sort(), [
        'ca.crl',
        'ca.crt',
        'key.der',
        'keystore.p12',
        'tls-combined.pem',
        'tls.crt',
        'tls.key',
        'truststore.p12',
      ]);
    },
  },
});

runPage('docs/how-to/hand-over-a-secret.md', world, {
  after: {
    'Keep the Secrets of a deleted MtlsCertificate': async () => {
      const { metadata } = await world.tenantOf('legacy').secret('payments-server-tls');
      assert.equal(metadata.ownerReferences?.[0]?.name, 'payments');
    },
  },
});

// The programs of these pages run in e2e/stacks.
const client = (program: string) => ({ [`${program} `]: 'needs the server, which e2e/stacks starts' });
runPage('docs/how-to/stacks/nginx.md', world, { notRun: client('curl') });
runPage('docs/how-to/stacks/postgresql.md', world, { notRun: client('psql') });
runPage('docs/how-to/stacks/redis.md', world, { notRun: client('redis-cli') });
runPage('docs/how-to/stacks/etcd.md', world, { notRun: client('etcdctl') });
for (const language of ['go', 'java', 'nodejs', 'python', 'rust']) runPage(`docs/how-to/stacks/${language}.md`, world);
