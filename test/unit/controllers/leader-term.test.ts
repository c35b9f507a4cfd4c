import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../src/api/constants.ts';
import { authorities } from '../../../src/controllers/objects/resources.ts';
import { leading, turns, until } from './world/operator-process.ts';

const trustBundle = { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: false };
/** The signal among the arguments of a request. Every controller passes it on. */
const signalOf = (call: readonly unknown[]) => (call.at(-1) as { readonly signal?: AbortSignal }).signal;

test('a leader reconciles every object when its term begins', async (t) => {
  const { reconciled, endTerm, operator, deliverCertificates } = await leading(t, { trustBundle });
  const everythingIsReconciled = () => {
    for (const key of ['authority default', 'certificate mtls-operator/one-0', 'trust default/mtls-operator']) {
      assert.ok(reconciled.includes(key), key);
    }
  };
  await deliverCertificates(1);
  await until(everythingIsReconciled);
  await endTerm();
  reconciled.length = 0;
  const again = new AbortController();
  const ended = operator.lead(again.signal, again.signal);
  await until(everythingIsReconciled);
  again.abort();
  await ended;
});

test('one namespace gets only a share of the workers', async (t) => {
  const { memory, gate, deliverCertificates } = await leading(t);
  const held: string[] = [];
  memory.onRequest = async (request, moment) => {
    if (moment !== 'before' || !request.startsWith('create secrets')) return;
    held.push(request);
    await gate.promise;
  };
  await deliverCertificates(3);
  await until(() => assert.ok(held.length > 0));
  await turns();
  assert.equal(held.length, 1);
  gate.resolve();
  await until(() => assert.equal(held.length, 3));
});

describe('a reconcile in progress', () => {
  for (const [controller, verb, words] of [
    ['certificate', 'create', 'secrets'],
    ['trust', 'create', 'configmaps'],
    ['authority', 'mergePatch', 'mtlsauthorities'],
  ] as const) {
    test(`of ${controller} may finish after the term, and is aborted when the Lease is lost`, async (t) => {
      const { memory, gate, endTerm, lose, deliverCertificates, changeAuthority } = await leading(t);
      let signal: AbortSignal | undefined;
      const call = memory[verb] as (...call: readonly unknown[]) => Promise<unknown>;
      Object.assign(memory, {
        [verb]: async (...args: readonly unknown[]) => {
          if ((args[0] as { plural: string }).plural !== words) return call(...args);
          signal ??= signalOf(args);
          await gate.promise;
          return call(...args);
        },
      });
      await deliverCertificates(1);
      await changeAuthority({ trustBundle });
      await until(() => assert.equal(signal?.aborted, false));
      let hasEnded = false;
      const end = async (): Promise<void> => {
        await endTerm();
        hasEnded = true;
      };
      const ended = end();
      await turns();
      assert.deepEqual([signal?.aborted, hasEnded], [false, false]);
      lose();
      assert.equal(signal?.aborted, true);
      gate.resolve();
      await ended;
    });
  }
});

test('the events of a term are sent before the process ends, and the end of a term does not wait for them', async (t) => {
  const { memory, gate, endTerm, end, deliverCertificates } = await leading(t);
  const sent: string[] = [];
  let asked = 0;
  memory.onRequest = async (request, moment) => {
    if (!request.startsWith('create events')) return;
    if (moment === 'before') {
      asked += 1;
      await gate.promise;
    } else sent.push(request);
  };
  await deliverCertificates(1);
  await until(() => assert.equal(asked, 1));
  await endTerm();
  assert.deepEqual(sent, []);
  const ended = end();
  await turns();
  gate.resolve();
  await ended;
  assert.equal(sent.length, 1);
});

test('a term leaves no timer behind when it ends', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  assert.equal(timers(), 0, 'an earlier test left a timer');
  const { endTerm, deliverCertificates } = await leading(t);
  await deliverCertificates(1);
  await until(() => assert.ok(timers() > 0, 'the renewal is due in months'));
  await endTerm();
  await until(() => assert.equal(timers(), 0));
});

test('a term reports the rotations in progress', async (t) => {
  const { api, memory, operator } = await leading(t);
  assert.deepEqual([...(operator.term?.rotations.keys() ?? [])], []);
  const metadata = { annotations: { [annotations.rotateRoot]: 'now' } };
  await api.patchByHand(authorities, { name: 'default' }, { metadata });
  await memory.deliver();
  await until(() => assert.deepEqual([...(operator.term?.rotations.keys() ?? [])], ['default']));
});
