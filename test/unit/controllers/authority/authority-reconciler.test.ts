import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';

import { AuthorityObserver } from '../../../../src/controllers/authority/authority-observer.ts';
import { AuthorityReconciler } from '../../../../src/controllers/authority/authority-reconciler.ts';
import { RootSecretWriter } from '../../../../src/controllers/authority/root-secret-writer.ts';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { authorityRecord, authorities as authorityResource } from '../../../../src/controllers/objects/resources.ts';
import { namespaces, silentLog } from '../../../../src/kube/index.ts';
import type { Revocation } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { days, now } from '../../../support/fixtures/times.ts';
import { MemoryApi } from '../world/memory-api.ts';
import { WorldProcess } from '../world/world-process.ts';

const never = new AbortController().signal;

// Broken if it fails: a request to revoke waits for ever, since its pause has ended while the operator was busy.
test('an authority is looked at again for what becomes due between its plan and its status', async () => {
  // Wherever the end of the pause lies between the moments at which the operator reads the clock.
  for (let offsetMs = -30_000; offsetMs <= 5000; offsetMs += 1000) await revokesAfterPause(offsetMs);
});

/** Asks for a second revocation while the clock is read at moments that are seconds apart, beginning at this one. */
async function revokesAfterPause(offsetMs: number): Promise<void> {
  const api = new MemoryApi();
  const authorityStates = new AuthorityStates();
  const caches = new Caches(() => authorityStates.roots());
  let timeMs = now.getTime();
  let stepMs = 0;
  const asked: Revocation[] = [];
  Object.assign(caches, { leavesToRevoke: () => asked });
  const publications = { of: () => [], renew: () => Promise.resolve() };
  const clock = () => new Date((timeMs += stepMs));
  const common = { client: api.client, namespace: 'mtls-operator', authorityStates, log: silentLog, now: clock };
  const recorder = { record: () => undefined };
  const reconciler = new AuthorityReconciler({
    ...common,
    authorities: caches.authorities,
    observer: new AuthorityObserver({ ...common, caches, publications }),
    writer: new RootSecretWriter({ ...common, recorder }),
    onChange: () => undefined,
    trustConditions: () => [],
    recorder,
  });
  const { spec } = authority();
  const created = await api.create(authorityResource, {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsAuthority',
    metadata: { name: 'default' },
    spec: { ...spec, root: { ...spec.root } },
  } as never);
  caches.authorities.observe(authorityRecord(created));
  const reconcile = () => reconciler.reconcile('default', { signal: never });
  await reconcile();
  const issuer = authorityStates.material('default')?.crl?.issuers[0] ?? '';
  const ask = (serialNumber: string) => {
    asked.push({ serialNumber, issuer, revokedAt: now, notAfter: new Date(timeMs + days(30)), namespace: 'shop' });
  };
  ask('1a');
  await reconcile();
  ask('2b');
  timeMs += offsetMs;
  stepMs = 3000;
  for (let look = 0; look < 5; look += 1) {
    const result = await reconcile();
    if (authorityStates.material('default')?.crl?.revoked.has('2b') === true) return;
    const isSoon = result !== undefined && result.requeueAt.getTime() < now.getTime() + 60_000;
    assert.ok(isSoon, `nothing brings it back at ${offsetMs} ms`);
    // The queue would wait until then.
    timeMs = Math.max(timeMs, result.requeueAt.getTime() - stepMs);
  }
  assert.fail(`it is never put onto the CRL at ${offsetMs} ms`);
}

describe('the rotations in progress', () => {
  test('are those of the last reconcile of each authority, and none of one that is gone', async (t) => {
    // WorldProcess says when a pause of a Reflector is over.
    mock.timers.enable({ apis: ['setTimeout'] });
    t.after(() => mock.timers.reset());
    const api = new MemoryApi();
    await api.create(namespaces, { metadata: { name: 'mtls-operator' } });
    const { spec } = authority();
    await api.create(authorityResource, { metadata: { name: 'default' }, spec } as never);
    const options = {
      api,
      namespace: 'mtls-operator',
      now: () => now,
      monotonicMs: () => 0,
      onIssued: () => undefined,
    };
    const process = await WorldProcess.start(options);
    t.after(() => process.end());
    await process.lead();
    const reconciler = process.reconcilers.authority;
    const reconcile = () => reconciler.reconcile('default', { signal: never });
    await reconcile();
    assert.deepEqual([...reconciler.rotations.keys()], []);
    const metadata = { annotations: { [annotations.rotateRoot]: 'now' } };
    await api.byHand(() => api.mergePatch(authorityResource, { name: 'default' }, { metadata }));
    await process.deliver();
    await reconcile();
    assert.deepEqual([...reconciler.rotations.keys()], ['default']);
    await api.byHand(() => api.delete(authorityResource, { name: 'default' }));
    await process.deliver();
    await reconcile();
    assert.deepEqual([...reconciler.rotations.keys()], []);
  });
});
