import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { type ConfigMap, paths } from '../../support/api.ts';
import { fileOf } from '../../support/behaviours/judge.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { installation } from '../../support/installation.ts';
import { wholePage } from '../../support/page.ts';
import { assertReloadsOncePerChange } from '../../support/stacks/reload-loop.ts';

const PODS = join(import.meta.dirname, '../../../deploy/examples/pods.yaml');

// The pages share a cluster, in the order in which a reader meets them.
const world = installation();

runPage('docs/how-to/issue-certificates.md', world);
const noKubelet = 'there is no kubelet: no pod runs';
runPage('docs/how-to/mount-certificates.md', world, {
  notRun: { 'rollout status': noKubelet, ' logs ': noKubelet },
  instead: { 'port=18443': async ({ run }) => run(`port=${await freePort()}`) },
});
runPage('docs/how-to/reload-certificates.md', world, {
  after: { 'Reload after each change': () => assertReloadsOncePerChange(readFileSync(PODS, 'utf8')) },
});

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

// The servers and clients of these pages run in e2e/stacks.
for (const [page, program] of Object.entries({
  nginx: 'curl',
  postgresql: 'psql',
  redis: 'redis-cli',
  etcd: 'etcdctl',
})) {
  const file = `docs/how-to/stacks/${page}.md`;
  runPage(file, world, {
    notRun: { [`${program} `]: 'needs the server, which e2e/stacks starts' },
    after: {
      Steps: async () => {
        if (page !== 'etcd') await assertReloadsOncePerChange(wholePage(file).file(`${page}.yaml`));
      },
    },
  });
}
for (const language of ['go', 'java', 'nodejs', 'python', 'rust']) runPage(`docs/how-to/stacks/${language}.md`, world);
