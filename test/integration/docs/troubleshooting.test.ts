import assert from 'node:assert/strict';

import { paths } from '../../support/api.ts';
import { contest } from '../../support/contest.ts';
import { type Reader, runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

const world = installation();

runPage('docs/operations/troubleshooting.md', world, {
  before: breakEverything,
  after: {
    'The authority is not ready': withdrawAGrantDuringARotation,
    async 'A root rotation does not proceed'({ run }) {
      await run(
        `kubectl -n lab create configmap mtls-trust && kubectl patch mauth default --type merge --patch '{"spec":{"trustBundle":{"configMap":{}}}}'`,
      );
      await run('kubectl wait mauth default --for=condition=TrustPublished=false --timeout=60s');
    },
  },
  slow: {
    'The Secret belongs to another owner': '30 s: the operator reads the Secret of another owner every 30 s',
    'The roots are not published': '31 s: the operator reads the ConfigMap of another owner every 30 s',
  },
  notRun: {
    'openssl s_client': 'there is no kubelet: no server runs',
    ' logs ': 'there is no kubelet: the operator of a test is no pod',
  },
});

/** Causes every symptom of the page except those of a rotation, in the namespaces and with the names of the page. */
async function breakEverything({ run }: Reader): Promise<void> {
  await run('kubectl create namespace shop && kubectl create namespace lab');
  const shop = world.tenantOf('shop');
  await shop.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } });
  await shop.create('edge', { server: { dnsNames: ['shop.example.com'] } });
  await run('kubectl -n shop create secret generic orders-server-tls');
  await shop.create('orders', { server: { service: 'orders' } });
  await run('kubectl -n lab create quota small --hard=count/secrets=0');
  await world.tenantOf('lab').create('db', { server: { service: 'db' } });
  await world.createAuthority('own', { secretName: 'own-root' });
  await shop.notReady('edge', 'Denied');
  await shop.notReady('orders', 'SecretConflict');
  await world.tenantOf('lab').notReady('db', 'IssuanceFailed');
  await contest(shop, 'payments', 'payments-server-tls');
}

/** A certificate that may no longer be issued keeps the old root, and a rotation waits for it. */
async function withdrawAGrantDuringARotation(): Promise<void> {
  const shop = world.tenantOf('shop');
  const allow = [{ namespaceSelector: {}, dnsNames: ['*.example.com'] }];
  const rotation = { propagationDelay: '1s' };
  await world.patchAuthority('default', { spec: { issuance: { allow }, rotation } });
  await shop.issue('legacy', { server: { dnsNames: ['legacy.example.com'] } });
  const kept = [{ namespaceSelector: {}, dnsNames: ['shop.example.com'] }];
  await world.patchAuthority('default', { spec: { issuance: { allow: kept } } });
  await shop.notReady('legacy', 'Denied');
  await world.rotateRoot('default', 'withdrawn');
  await eventually(
    async () => {
      const { status } = await world.authority('default');
      assert.equal(status?.rotation?.phase, 'Switching');
      assert.match(status.rotation.blockers?.join('\n') ?? '', /legacy/);
    },
    { timeoutMs: 60_000 },
  );
  assert.ok(await world.api.find(paths.secrets('shop', 'legacy-server-tls')));
}
