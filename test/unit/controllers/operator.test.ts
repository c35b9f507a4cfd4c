import assert from 'node:assert/strict';
import { describe, mock, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { secretKeys } from '../../../src/api/constants.ts';
import { metricSources } from '../../../src/controllers/metric-sources.ts';
import { authorities, certificates } from '../../../src/controllers/objects/resources.ts';
import { base64 } from '../../../src/controllers/objects/secret-data.ts';
import { Operator } from '../../../src/controllers/operator.ts';
import { KubeError, namespaces, secrets, silentLog } from '../../../src/kube/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { encodedRoot, root } from '../../support/fixtures/roots.ts';
import type { TestIssuer } from '../../support/sign.ts';
import { MemoryApi } from './world/memory-api.ts';
import { MemoryClient } from './world/memory-client.ts';

const rootRef = { namespace: 'mtls-operator', name: 'mtls-root' };
const [first, second, third] = [root({ name: 'First' }), root({ name: 'Second' }), root({ name: 'Third' })];

const dataOf = (signer: TestIssuer): Record<string, string> => {
  const { crt, key } = encodedRoot(signer);
  return { [secretKeys.certificate]: base64(crt), [secretKeys.privateKey]: base64(key) };
};

/** A replica that stands by, in a cluster whose root is `first`. */
async function standby(t: TestContext, { createDefaultAuthority = false, hasAuthority = true } = {}) {
  const api = new MemoryApi();
  await api.create(namespaces, { metadata: { name: rootRef.namespace } });
  if (hasAuthority) {
    await api.create(authorities, { metadata: { name: 'default' }, spec: authority().spec } as never);
  }
  await api.create(secrets, { metadata: rootRef, type: 'kubernetes.io/tls', data: dataOf(first) });
  const memory = new MemoryClient(api);
  const operator = new Operator({
    client: memory.client,
    namespace: rootRef.namespace,
    identity: 'replica',
    workers: 1,
    rsaKeyWorkers: 1,
    createDefaultAuthority,
    log: silentLog,
    now: () => new Date(),
    observer: {
      onReconcile: () => undefined,
      onIssued: () => undefined,
      onReflectorError: () => undefined,
      onListed: () => undefined,
    },
  });
  const stop = new AbortController();
  const kept = operator.cache(stop.signal);
  t.after(() => {
    memory.onRequest = () => Promise.resolve();
    stop.abort();
    return kept;
  });
  await operator.synced;
  await memory.settled();
  const replaceRoot = async (signer: TestIssuer): Promise<void> => {
    await api.byHand(() => api.mergePatch(secrets, rootRef, { data: dataOf(signer) }));
    await memory.deliver();
  };
  /** The root that this replica takes for the one that signs. */
  const knownRoot = (): string | undefined => {
    const view = operator.authorityStates.get('default');
    return view.state === 'ready' ? view.issuer.fingerprint : undefined;
  };
  /** So many resources are created, and the watch brings them. */
  const deliverCertificates = async (count: number): Promise<void> => {
    const { spec } = certificate().record;
    for (let i = 0; i < count; i += 1) {
      const metadata = { namespace: rootRef.namespace, name: `one-${i}` };
      await api.byHand(() => api.create(certificates, { metadata, spec } as never));
    }
    await memory.deliver();
  };
  return { api, memory, operator, replaceRoot, knownRoot, deliverCertificates };
}

/** All that can happen without a timer. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
};

/** A term that ends as soon as it has begun. */
const atOnce = AbortSignal.abort();

test('a replica that stands by follows the root, also when its term has ended', async (t) => {
  const { operator, replaceRoot, knownRoot } = await standby(t);
  assert.equal(knownRoot(), first.certificate.fingerprint);
  await replaceRoot(second);
  await turns();
  assert.equal(knownRoot(), second.certificate.fingerprint);
  await operator.lead(atOnce, atOnce);
  await replaceRoot(third);
  await turns();
  assert.equal(knownRoot(), third.certificate.fingerprint);
});

test('a replica that begins to lead does not go by a root that it cannot read now', async (t) => {
  const { memory, operator, knownRoot } = await standby(t);
  memory.onRequest = async (request) => {
    if (request.startsWith('find secrets')) throw new KubeError('Network', 'no answer');
  };
  await operator.lead(atOnce, atOnce);
  assert.equal(knownRoot(), undefined);
});

test('a replica that begins to lead lets no reading from before come after its own', async (t) => {
  const { memory, operator, replaceRoot, knownRoot } = await standby(t);
  const { promise: until, resolve } = Promise.withResolvers<void>();
  let readings = 0;
  memory.onRequest = async (request, moment) => {
    if (!request.startsWith('find secrets') || moment === 'before') return;
    readings += 1;
    if (readings === 1) await until;
  };
  await replaceRoot(second);
  await turns();
  assert.equal(readings, 1, 'it has read the second root, and has no answer yet');
  await replaceRoot(third);
  const leading = operator.lead(atOnce, atOnce);
  await turns();
  assert.equal(readings, 1, 'it waits for the end of that reading');
  resolve();
  await leading;
  assert.equal(knownRoot(), third.certificate.fingerprint);
});

/** A term that lasts until it is ended, of a replica that stands by. */
async function leading(t: TestContext) {
  const standing = await standby(t);
  const leadership = new AbortController();
  const ended = standing.operator.lead(leadership.signal, leadership.signal);
  await turns();
  const end = (): Promise<void> => {
    leadership.abort();
    return ended;
  };
  t.after(end);
  return { ...standing, end };
}

describe('what only a leader needs', () => {
  test('is not there on a replica that stands by', async (t) => {
    const { operator, deliverCertificates } = await standby(t);
    await deliverCertificates(20);
    assert.equal(operator.term, undefined);
    const sources = metricSources(operator);
    const samples = [...sources.queueLength(), ...sources.rotationPhase(), ...sources.rotationRemaining()];
    assert.deepEqual(samples, []);
  });

  test('is there while a term lasts, and gone after it', async (t) => {
    const { operator, deliverCertificates, end } = await leading(t);
    await turns();
    assert.equal(operator.term?.queueLengths.authority, 0);
    assert.deepEqual(
      [...metricSources(operator).queueLength()].map(({ labels }) => labels['controller']),
      ['authority', 'certificate', 'trust'],
    );
    const { term } = operator;
    await end();
    assert.equal(operator.term, undefined);
    await deliverCertificates(20);
    assert.deepEqual(
      term?.queueLengths,
      { authority: 0, certificate: 0, trust: 0 },
      'a term that has ended queues nothing',
    );
  });

  test('leaves no subscription behind', async (t) => {
    const { operator } = await standby(t);
    const {
      authorities: watched,
      rootSecrets,
      certificates: served,
      secrets: leaves,
      namespaces: places,
    } = operator.caches;
    let active = 0;
    for (const store of [watched, rootSecrets, served, leaves, places, operator.caches]) {
      const subscribe = store.subscribe.bind(store);
      mock.method(store, 'subscribe', (listener: never) => {
        const unsubscribe = subscribe(listener);
        active += 1;
        return () => {
          active -= 1;
          unsubscribe();
        };
      });
    }
    // The subscriptions of standing by after a term.
    await operator.lead(atOnce, atOnce);
    const standingBy = active;
    for (let term = 0; term < 3; term += 1) await operator.lead(atOnce, atOnce);
    assert.deepEqual([standingBy, active], [2, 2]);
  });
});

test('the default authority is created in a cluster without one, and tried again while the API server refuses it', async (t) => {
  const { api, memory, operator } = await standby(t, { createDefaultAuthority: true, hasAuthority: false });
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let refusals = 2;
  memory.onRequest = async (request, moment) => {
    if (moment === 'before' && request.startsWith('create mtlsauthorities') && refusals-- > 0)
      throw new KubeError('Forbidden', 'no');
  };
  const leadership = new AbortController();
  const ended = operator.lead(leadership.signal, leadership.signal);
  const find = () => api.find(authorities, { name: 'default' });
  await turns();
  assert.equal(find(), undefined);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    mock.timers.tick(2000);
    await turns();
  }
  assert.equal(find()?.spec.secretName, 'mtls-root');
  leadership.abort();
  await ended;
});
