import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { secretKeys } from '../../../src/api/constants.ts';
import { authorities } from '../../../src/controllers/objects/resources.ts';
import { base64 } from '../../../src/controllers/objects/secret-data.ts';
import { Operator } from '../../../src/controllers/operator.ts';
import { KubeError, namespaces, secrets, silentLog } from '../../../src/kube/index.ts';
import type { Issuer } from '../../../src/pki/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { encodedRoot, root } from '../../support/fixtures/roots.ts';
import { MemoryApi } from './world/memory-api.ts';
import { MemoryClient } from './world/memory-client.ts';

const rootRef = { namespace: 'mtls-operator', name: 'mtls-root' };
const [first, second, third] = [root({ name: 'First' }), root({ name: 'Second' }), root({ name: 'Third' })];

const dataOf = (signer: Issuer): Record<string, string> => {
  const { crt, key } = encodedRoot(signer);
  return { [secretKeys.certificate]: base64(crt), [secretKeys.privateKey]: base64(key) };
};

/** A replica that stands by, in a cluster whose root is `first`. */
async function standby(t: TestContext) {
  const api = new MemoryApi();
  await api.create(namespaces, { metadata: { name: rootRef.namespace } });
  await api.create(authorities, { metadata: { name: 'default' }, spec: authority().spec } as never);
  await api.create(secrets, { metadata: rootRef, type: 'kubernetes.io/tls', data: dataOf(first) });
  const memory = new MemoryClient(api);
  const operator = new Operator({
    client: memory.client,
    namespace: rootRef.namespace,
    identity: 'replica',
    workers: 1,
    rsaKeyWorkers: 1,
    createDefaultAuthority: false,
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
  const replaceRoot = async (signer: Issuer): Promise<void> => {
    await api.byHand(() => api.mergePatch(secrets, rootRef, { data: dataOf(signer) }));
    await memory.deliver();
  };
  /** The root that this replica takes for the one that signs. */
  const knownRoot = (): string | undefined => {
    const view = operator.authorityStates.get('default');
    return view.state === 'ready' ? view.root.fingerprint : undefined;
  };
  return { memory, operator, replaceRoot, knownRoot };
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
