import assert from 'node:assert/strict';
import { after, before, describe, mock, type TestContext, test } from 'node:test';
import { annotations, crlKey, revocationsKey } from '../../../src/api/constants.ts';
import { authorities, certificates } from '../../../src/controllers/objects/resources.ts';
import { revocationState } from '../../../src/controllers/objects/root-crl.ts';
import { trustKey } from '../../../src/controllers/objects/trust-key.ts';
import { configMaps, KubeError, namespaces, secrets } from '../../../src/kube/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { later, minutes } from '../../support/fixtures/times.ts';
import { MemoryApi } from './world/memory-api.ts';
import { WorldProcess } from './world/world-process.ts';

// Timers are mocked: WorldProcess ends the pauses of Reflectors.
before(() => mock.timers.enable({ apis: ['setTimeout'] }));
after(() => mock.timers.reset());

const never = new AbortController().signal;
const secretRef = { namespace: 'shop', name: 'payments-server-tls' };
const configMapRef = { namespace: 'shop', name: 'trust' };
const rootRef = { namespace: 'mtls-operator', name: 'mtls-root' };
const targets = ['', 'mtls-operator', 'shop'];
const bundleName = 'mtls-operator.io:default:roots';

/** A process that has issued a certificate and published its bundle at 200 ms of its clock. */
async function issuing(t: TestContext, { hasStandby = false } = {}) {
  const api = new MemoryApi();
  const clock = { ms: 100 };
  // Two writes to one target are a second apart.
  const speed = 60;
  for (const name of ['mtls-operator', 'shop']) await api.create(namespaces, { metadata: { name } });
  const trustBundle = { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: true };
  const spec = { ...authority().spec, trustBundle };
  await api.create(authorities, { metadata: { name: 'default' }, spec } as never);
  const metadata = { namespace: 'shop', name: 'payments' };
  await api.create(certificates, { metadata, spec: certificate().record.spec } as never);
  const options = {
    api,
    namespace: 'mtls-operator',
    now: () => later(clock.ms * speed),
    monotonicMs: () => clock.ms * speed,
    onIssued: () => undefined,
  };
  const start = async (): Promise<WorldProcess> => {
    const started = await WorldProcess.start(options);
    t.after(() => started.end());
    await started.lead();
    return started;
  };
  const standby = hasStandby ? await WorldProcess.start(options) : undefined;
  t.after(() => standby?.end());
  const process = await start();
  const { caches } = process.replica;
  /** Reconciles everything at this time. The watches deliver none of the writes. */
  const workAt = async (ms: number, { reconcilers } = process): Promise<void> => {
    clock.ms = ms;
    for (let round = 0; round < 3; round += 1) {
      await reconcilers.authority.reconcile('default', { signal: never });
      for (const target of targets) await reconcilers.trust.reconcile(trustKey('default', target), { signal: never });
      await reconcilers.certificate.reconcile('shop/payments', { signal: never });
    }
  };
  const since = () =>
    [
      caches.secrets.get('shop/payments-server-tls'),
      caches.configMaps.store.get('shop/trust'),
      caches.clusterTrustBundles.store.get(bundleName),
    ].map((one) => one && one.changedAtMs / speed);
  /** Makes a change as a user, which the watches deliver. */
  const byHand = async (act: () => Promise<unknown>): Promise<void> => {
    await api.byHand(act);
    await process.deliver();
  };
  await workAt(200);
  return { api, clock, process, standby, start, byHand, workAt, since };
}

// If one fails: a rotation continues before pods have loaded what the operator has written.
test('a bundle that the operator writes counts from its write; a Secret that never existed needs no wait', async (t) => {
  const { since } = await issuing(t);
  assert.deepEqual(since(), [Number.NEGATIVE_INFINITY, 200, 200]);
});

test('a bundle that the operator changes counts from that write, and its watch event changes nothing', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  const metadata = { annotations: { [annotations.rotateRoot]: 'now' } };
  await byHand(() => api.mergePatch(authorities, { name: 'default' }, { metadata }));
  await workAt(300);
  assert.deepEqual(since(), [300, 300, 300]);
  await byHand(async () => undefined);
  assert.deepEqual(since(), [300, 300, 300]);
});

test('a deleted object counts from the write that creates it again', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  await byHand(() => api.delete(secrets, secretRef));
  await byHand(() => api.delete(configMaps, configMapRef));
  await workAt(400);
  assert.deepEqual(since(), [400, 400, 200]);
});

test('a repair of a label changes no change time', async (t) => {
  const { api, byHand, workAt, since } = await issuing(t);
  const before = since();
  const labels = { 'mtls-operator.io/role': 'x', 'mtls-operator.io/authority': 'x' };
  await byHand(() => api.mergePatch(secrets, secretRef, { metadata: { labels } }));
  await byHand(() => api.mergePatch(configMaps, configMapRef, { metadata: { labels } }));
  await workAt(500);
  assert.equal(api.find(configMaps, configMapRef)?.metadata.labels?.['mtls-operator.io/authority'], 'default');
  assert.deepEqual(since(), before);
});

describe('a process that leads again', () => {
  test('signs and publishes nothing while it cannot read the root', async (t) => {
    const { process } = await issuing(t);
    const { authorityStates } = process.replica;
    assert.equal(authorityStates.get('default').state, 'ready');
    process.refusal = (request) => (request.startsWith('find secrets') ? new KubeError('Network', '') : undefined);
    await process.lead();
    assert.deepEqual(
      [authorityStates.get('default'), authorityStates.material('default')],
      [{ state: 'unknown' }, undefined],
    );
    process.refusal = () => undefined;
    await process.lead();
    assert.equal(authorityStates.get('default').state, 'ready');
  });

  // If this fails: a new root signs at once, and peers that do not trust it yet refuse its certificates.
  test('knows from status which root has signed the certificates, when it could not read the root before', async (t) => {
    const { api, standby, workAt } = await issuing(t, { hasStandby: true });
    assert.ok(standby !== undefined);
    // It read the certificate before it knew its root.
    await standby.deliver();
    await api.byHand(() => api.delete(secrets, rootRef));
    standby.refusal = (request) => (request.startsWith('find secrets') ? new KubeError('Network', '') : undefined);
    await standby.lead();
    standby.refusal = () => undefined;
    await standby.deliver();
    await workAt(300, standby);
    const { status } = api.find(authorities, { name: 'default' }) ?? {};
    assert.equal(status?.rotation?.phase, 'Distributing');
  });

  test('has forgotten which object of another owner has the name of a bundle', async (t) => {
    const { api, process, byHand, workAt } = await issuing(t);
    await byHand(async () => {
      await api.delete(configMaps, configMapRef);
      await api.create(configMaps, { metadata: configMapRef });
    });
    await workAt(300);
    const outcome = () => process.reconcilers.trust.outcome('default', 'shop', 'trust');
    assert.equal(outcome()?.state, 'foreign');
    await process.lead();
    assert.equal(outcome(), undefined);
  });

  test('retries a failure of an earlier term at once if status does not report it any more', async (t) => {
    const { api, process, byHand, workAt } = await issuing(t);
    let tries = 0;
    process.refusal = (request) => {
      if (request !== `create secrets ${secretRef.name}`) return undefined;
      tries += 1;
      return new KubeError('Forbidden', 'quota');
    };
    await byHand(() => api.delete(secrets, secretRef));
    await workAt(300);
    assert.equal(tries, 1, 'the next attempt is due in seconds');
    const ref = { namespace: 'shop', name: 'payments' };
    const nothing = { failures: null, failedIssuanceAttempts: null, lastFailureTime: null, nextRetryTime: null };
    const status = { ...nothing, conditions: [] };
    await byHand(() => api.mergePatch(certificates, ref, { status }, { subresource: 'status' }));
    await workAt(300);
    assert.equal(tries, 1);
    await byHand(() => api.mergePatch(certificates, ref, { status }, { subresource: 'status' }));
    await process.lead();
    await workAt(300);
    assert.equal(tries, 2);
  });

  test('replaces certificates that became due meanwhile one after the other, not all at once', async (t) => {
    const { api, clock, process, byHand, workAt } = await issuing(t);
    const metadata = { annotations: { [annotations.rotateRoot]: 'now' } };
    await byHand(() => api.mergePatch(authorities, { name: 'default' }, { metadata }));
    await workAt(300);
    await workAt(minutes(8));
    clock.ms = minutes(20);
    await process.lead();
    const view = process.replica.authorityStates.get('default');
    assert.deepEqual(view.state === 'ready' && view.reissue?.resumedAt, later(minutes(20) * 60));
  });

  test('restores a CRL from the published one, not from the memory of an earlier term', async (t) => {
    const { api, process, start, byHand, workAt } = await issuing(t);
    const revoked = () => revocationState(api.find(secrets, rootRef)).revocations.length;
    const revoke = async (token: string, ms: number, by: WorldProcess) => {
      const metadata = { annotations: { [annotations.revoke]: token } };
      await byHand(() => api.mergePatch(certificates, { namespace: 'shop', name: 'payments' }, { metadata }));
      await by.deliver();
      await workAt(ms, by);
    };
    await revoke('one', 1000, process);
    assert.equal(revoked(), 1);
    const other = await start();
    await revoke('two', 2000, other);
    await workAt(3000, other);
    assert.equal(revoked(), 2);
    await byHand(() => api.mergePatch(secrets, rootRef, { data: { [crlKey]: null, [revocationsKey]: null } }));
    await process.lead();
    await workAt(4000);
    assert.equal(revoked(), 2);
  });
});
