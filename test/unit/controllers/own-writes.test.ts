import assert from 'node:assert/strict';
import { after, before, mock, type TestContext, test } from 'node:test';
import { annotations } from '../../../src/api/names.ts';
import { authorities, certificates } from '../../../src/controllers/resources.ts';
import { trustKey } from '../../../src/controllers/trust.ts';
import { configMaps, namespaces, secrets } from '../../../src/kube/index.ts';
import { authority, certificate, later } from '../../support/fixtures.ts';
import { MemoryApi } from './memory-api.ts';
import { WorldProcess } from './world-process.ts';

// WorldProcess says when a pause of a Reflector is over.
before(() => mock.timers.enable({ apis: ['setTimeout'] }));
after(() => mock.timers.reset());

const never = new AbortController().signal;
const secretRef = { namespace: 'shop', name: 'payments-server-tls' };
const configMapRef = { namespace: 'shop', name: 'trust' };
const bundleName = 'mtls-operator.io:default:roots';

/** A process that has issued a certificate and published its bundle at 200 of its clock. */
async function issuing(t: TestContext) {
  const api = new MemoryApi();
  const clock = { ms: 100 };
  for (const name of ['mtls-operator', 'shop']) await api.create(namespaces, { metadata: { name } });
  const trustBundle = { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: true };
  const spec = { ...authority().spec, trustBundle };
  await api.create(authorities, { metadata: { name: 'default' }, spec } as never);
  const metadata = { namespace: 'shop', name: 'payments' };
  await api.create(certificates, { metadata, spec: certificate().record.spec } as never);
  const process = await WorldProcess.start({
    api,
    namespace: 'mtls-operator',
    // Two writes to one place are a second apart.
    now: () => later(clock.ms * 60),
    monotonicMs: () => clock.ms,
    onIssued: () => undefined,
  });
  t.after(() => process.end());
  await process.lead();
  const { caches, ...reconcilers } = process.reconcilers;
  /** The operator works at this moment; its watches bring nothing of what it writes. */
  const workAt = async (ms: number): Promise<void> => {
    clock.ms = ms;
    for (let round = 0; round < 2; round += 1) {
      await reconcilers.authority.reconcile('default', { signal: never });
      for (const place of ['', 'shop'])
        await reconcilers.trust.reconcile(trustKey('default', place), { signal: never });
      await reconcilers.certificate.reconcile('shop/payments', { signal: never });
    }
  };
  const since = () => [
    caches.secrets.get('shop/payments-server-tls')?.changedAtMs,
    caches.configMaps.store.get('shop/trust')?.changedAtMs,
    caches.clusterTrustBundles.store.get(bundleName)?.changedAtMs,
  ];
  /** A person does something, and the watches bring it. */
  const byHand = async (act: () => Promise<unknown>): Promise<void> => {
    await api.byHand(act);
    await process.deliver();
  };
  await workAt(200);
  return { api, byHand, workAt, since };
}

// Broken if one fails: a rotation goes on before pods have loaded what the operator has written.
test('what the operator writes counts from its write on; a Secret that was never there has nobody to wait for', async (t) => {
  const { since } = await issuing(t);
  assert.deepEqual(since(), [Number.NEGATIVE_INFINITY, 200, 200]);
});

test('a bundle that the operator changes counts from that write on, and the news of it changes nothing', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  const metadata = { annotations: { [annotations.rotateRoot]: 'now' } };
  await byHand(() => api.mergePatch(authorities, { name: 'default' }, { metadata }));
  await workAt(300);
  assert.deepEqual(since(), [300, 300, 300]);
  await byHand(async () => undefined);
  assert.deepEqual(since(), [300, 300, 300]);
});

test('what was deleted counts from the write that brings it back', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  await byHand(() => api.delete(secrets, secretRef));
  await byHand(() => api.delete(configMaps, configMapRef));
  await workAt(400);
  assert.deepEqual(since(), [400, 400, 200]);
});

test('a repair of a label changes no moment', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  const before = since();
  const labels = { 'mtls-operator.io/role': 'x', 'mtls-operator.io/authority': 'x' };
  await byHand(() => api.mergePatch(secrets, secretRef, { metadata: { labels } }));
  await byHand(() => api.mergePatch(configMaps, configMapRef, { metadata: { labels } }));
  await workAt(500);
  assert.equal(api.find(configMaps, configMapRef)?.metadata.labels?.['mtls-operator.io/authority'], 'default');
  assert.deepEqual(since(), before);
});
