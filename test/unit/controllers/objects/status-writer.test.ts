import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { certificateRecord, certificates } from '../../../../src/controllers/objects/resources.ts';
import { statusChange, writeStatus } from '../../../../src/controllers/objects/status-writer.ts';
import { type GuardedClient, isKubeError } from '../../../../src/kube/index.ts';
import type { CertificateRecord } from '../../../../src/plan/index.ts';
import { later, now } from '../../../support/fixtures/times.ts';
import { CertificateProcess, writeStatus as request } from '../world/certificate-process.ts';

const never = new AbortController().signal;

describe('the patch of a status', () => {
  const condition = { type: 'Ready', status: 'True', reason: 'Issued', message: 'm' } as const;
  const wanted = { observedGeneration: 1, conditions: [condition], notAfter: 'x' };
  const [first] = [now.toISOString().replace('.000', '')];
  const written = { ...wanted, conditions: [{ ...condition, observedGeneration: 1, lastTransitionTime: first }] };

  test('is the whole status at first', () => assert.deepEqual(statusChange({}, wanted, now)?.patch, written));
  test('is undefined once the status is written', () =>
    assert.equal(statusChange(written, wanted, later(5000)), undefined));

  test('has the changed fields, and null for removed ones', () => {
    const actual = { ...written, failedIssuanceAttempts: 2 };
    const other = { ...wanted, notAfter: 'y' };
    assert.deepEqual(statusChange(actual, other, now)?.patch, {
      notAfter: 'y',
      failedIssuanceAttempts: null,
    });
  });

  test('has null for the fields that are removed from an object, too', () => {
    const actual = { ...written, rotation: { id: 'r1', approved: 'r1', progress: { done: 1, total: 2 } } };
    const other = { ...wanted, rotation: { id: 'r1', progress: { total: 2 } } };
    const change = statusChange(actual, other, now);
    assert.deepEqual(change?.patch, { rotation: { id: 'r1', approved: null, progress: { done: null, total: 2 } } });
    assert.deepEqual(change?.status['rotation'], { id: 'r1', progress: { total: 2 } });
  });

  test('keeps the transition time while the status of the condition stays the same', () => {
    const changed = { ...wanted, conditions: [{ ...condition, message: 'n' }] };
    const conditions = [{ ...condition, message: 'n', observedGeneration: 1, lastTransitionTime: first }];
    assert.deepEqual(statusChange(written, changed, later(5000))?.patch, { conditions });
  });
});

type Desired = Parameters<typeof statusChange>[1];
type Change = (desired: Desired) => Desired;

const rotated: Change = (desired) => ({ ...desired, lastHandledRotate: 'now' });

/** A resource with a status, and the records that the cache has reported since. */
async function begin(t: TestContext) {
  const process = await CertificateProcess.issued(t);
  const { certificates: store } = process.caches;
  const get = (): CertificateRecord => store.get('shop/payments') ?? assert.fail();
  const reported: Array<CertificateRecord | undefined> = [];
  store.subscribe((_, after) => reported.push(after));
  process.requests.length = 0;
  const record = get();
  const { conditions = [], ...status } = record.status;
  const desired = {
    ...status,
    conditions: conditions.map(({ type, status: holds, reason, message }) => ({
      type,
      status: holds,
      reason,
      message,
    })),
  } as Desired;
  const write = (change: Change, client: GuardedClient = process.client) =>
    writeStatus({ client, resource: certificates, store }, record, change(desired), now, never);
  /** The resource, read from the API server now. */
  const live = () => {
    const found = process.api.find(certificates, { namespace: 'shop', name: 'payments' });
    return found && certificateRecord(found);
  };
  return { process, record, reported, get, write, live };
}

describe('a status', () => {
  test('that is up to date is not written', async (t) => {
    const { process, record, write, live } = await begin(t);
    assert.equal(await write((desired) => desired), true);
    assert.deepEqual([process.requests, live()], [[], record]);
  });

  const changes: Record<string, Change> = {
    'with a new field': rotated,
    'with a changed value': (desired) => ({ ...desired, notAfter: '2027-01-01T00:00:00Z' }),
    'without a former field': ({ conditions }) => ({ conditions }),
    'with another condition': (desired) => ({
      ...desired,
      conditions: [{ type: 'Ready', status: 'False', reason: 'Pending', message: 'm' }],
    }),
  };
  for (const [title, change] of Object.entries(changes)) {
    test(`${title} is written once, and cached as stored before the watch delivers it`, async (t) => {
      const { process, record, reported, get, write, live } = await begin(t);
      assert.equal(await write(change), true);
      assert.deepEqual(process.requests, [request]);
      assert.deepEqual(get(), live());
      assert.notDeepEqual(get().status, record.status);
      assert.deepEqual({ ...get(), status: {} }, { ...record, resourceVersion: get().resourceVersion, status: {} });
      await process.deliver();
      assert.deepEqual(reported, [], 'its own write would queue the resource again');
    });
  }

  test('that the watch delivers before the answer is recognised as this process’s own write', async (t) => {
    const { process, reported, get, write, live } = await begin(t);
    let delivered: Promise<void> | undefined;
    const slow = Object.create(process.client, {
      mergePatch: {
        value: async (...call: Parameters<GuardedClient['mergePatch']>) => {
          const answer = await process.client.mergePatch(...call);
          delivered = process.deliver();
          // The watch delivers first.
          for (let turn = 0; turn < 10; turn += 1) await setImmediate();
          return answer;
        },
      },
    }) as GuardedClient;
    assert.equal(await write(rotated, slow), true);
    await delivered;
    assert.deepEqual(get(), live());
    assert.deepEqual(reported, []);
  });

  const interferences: Record<string, (process: CertificateProcess) => Promise<unknown>> = {
    'was changed': (process) => process.annotate('rotate', 'now'),
    'has another status': (process) => process.patchStatus({ lastHandledRotate: 'theirs' }),
    'was deleted': (process) => process.remove(certificates, 'payments'),
    'was deleted and created again': async (process) => {
      await process.remove(certificates, 'payments');
      await process.create();
    },
  };
  for (const [happened, interfere] of Object.entries(interferences)) {
    test(`of a resource that ${happened} meanwhile is not written`, async (t) => {
      const { process, record, get, write, live } = await begin(t);
      await interfere(process);
      const before = live();
      assert.equal(await write(rotated), false);
      assert.deepEqual([process.requests, live(), get()], [[request], before, record]);
    });
  }

  for (const code of ['Forbidden', 'Network', 'Invalid'] as const) {
    test(`that fails with ${code} fails the reconcile`, async (t) => {
      const { process, record, get, write } = await begin(t);
      process.refuse(request, code);
      await assert.rejects(write(rotated), (error) => isKubeError(error, code));
      assert.deepEqual(get(), record);
    });
  }
});
