import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Controller,
  type ControllerOptions,
  KubeError,
  type ReconcileRecord,
  silentLog,
  TerminalError,
  WorkQueue,
} from '../../../../src/kube/index.ts';
import { begin } from '../../../support/begin.ts';
import { eventually } from '../../../support/eventually.ts';

interface Harness {
  readonly queue: WorkQueue;
  readonly controller: Controller;
  readonly records: ReconcileRecord[];
  /** Resolves when `count` reconciles have ended. */
  readonly ended: (count: number) => Promise<void>;
}

function harness(options: Partial<ControllerOptions> & Pick<ControllerOptions, 'reconcile'>): Harness {
  const queue = options.queue ?? new WorkQueue({ backoff: { baseMs: 1, maxMs: 1 } });
  const records: ReconcileRecord[] = [];
  const onResult = (record: ReconcileRecord): number => records.push(record);
  const controller = new Controller({ name: 'test', queue, workers: 2, log: silentLog, onResult, ...options });
  const ended = (count: number): Promise<void> => eventually(() => assert.ok(records.length >= count));
  return { queue, controller, records, ended };
}

function outcomes(records: readonly ReconcileRecord[]): string[] {
  return records.map(({ key, outcome }) => `${key} ${outcome}`);
}

test('a failed reconcile is retried until it succeeds, but not after a TerminalError', async () => {
  let failures = 0;
  const { queue, controller, records, ended } = harness({
    reconcile: async (key) => {
      if (key === 'terminal') throw new TerminalError('hopeless');
      failures += 1;
      if (failures < 3) throw new Error('not yet');
    },
  });
  const end = begin((signal) => controller.run(signal));
  queue.add('terminal');
  await ended(1);
  queue.add('flaky');
  await ended(4);
  await end();
  assert.deepEqual(outcomes(records), ['terminal terminal', 'flaky error', 'flaky error', 'flaky success']);
});

test('the retry delay is reset after a success and after a TerminalError', async () => {
  for (const ending of [async () => {}, () => Promise.reject(new TerminalError('hopeless'))]) {
    const retries: unknown[] = [];
    const fails = (): Promise<void> => Promise.reject(new Error('not yet'));
    const turns = [fails, fails, ending, fails];
    const { queue, controller, ended } = harness({
      queue: new WorkQueue({ backoff: { baseMs: 1, maxMs: 100 }, random: () => 0 }),
      reconcile: () => (turns.shift() ?? (async () => {}))(),
      log: { ...silentLog, warn: (_, fields) => retries.push(fields?.['retryMs']) },
    });
    const end = begin((signal) => controller.run(signal));
    queue.add('key');
    await ended(3);
    queue.add('key');
    await ended(5);
    await end();
    assert.deepEqual(retries, [1, 2, 1]);
  }
});

test('a reconcile that throws instead of rejecting does not stop the controller', async () => {
  const { queue, controller, records, ended } = harness({
    reconcile: (key) => {
      if (key === 'bad') throw new TypeError('thrown');
      return Promise.resolve();
    },
    queue: new WorkQueue(),
    workers: 1,
  });
  const end = begin((signal) => controller.run(signal));
  queue.add('bad');
  queue.add('good');
  await ended(2);
  await end();
  assert.deepEqual(outcomes(records), ['bad error', 'good success']);
});

test('a reconcile can be repeated at a given time', async () => {
  const { queue, controller, records, ended } = harness({
    reconcile: async () => (records.length === 0 ? { requeueAt: new Date(Date.now() + 5) } : undefined),
  });
  const end = begin((signal) => controller.run(signal));
  queue.add('a');
  await ended(2);
  await end();
  assert.deepEqual(outcomes(records), ['a requeued', 'a success']);
});

test('different keys are reconciled at the same time, but one key never twice', async () => {
  const running = new Map<string, number>();
  let most = 0;
  const { queue, controller, ended } = harness({
    workers: 4,
    reconcile: async (key) => {
      assert.equal(running.get(key) ?? 0, 0);
      running.set(key, 1);
      most = Math.max(
        most,
        [...running.values()].reduce((sum, count) => sum + count, 0),
      );
      queue.add(key === 'a' ? 'b' : 'a');
      await new Promise(setImmediate);
      running.set(key, 0);
    },
  });
  const end = begin((signal) => controller.run(signal));
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
  await ended(50);
  await end();
  assert.ok(most > 1);
});

test('a stopped controller finishes the reconciles in progress, leaves the other keys in the queue, and can run again', async () => {
  const gate = Promise.withResolvers<void>();
  const { queue, controller, records, ended } = harness({
    workers: 1,
    reconcile: async (_key, { signal }) => {
      await gate.promise;
      assert.equal(signal.aborted, false);
    },
  });
  const end = begin((signal) => controller.run(signal));
  queue.add('in progress');
  queue.add('waiting');
  let isOver = false;
  const over = end().then(() => {
    isOver = true;
    return isOver;
  });
  await new Promise(setImmediate);
  assert.equal(isOver, false);
  gate.resolve();
  await over;
  assert.deepEqual(outcomes(records), ['in progress success']);

  const endAgain = begin((signal) => controller.run(signal));
  await ended(2);
  await endAgain();
  assert.deepEqual(outcomes(records).at(-1), 'waiting success');
});

for (const [why, drainTimeoutMs] of [
  ['when the Lease is lost', 60_000],
  ['after the drain timeout', 10],
] as const) {
  test(`a reconcile that continues after a stop is aborted ${why}, and its key stays in the queue`, async () => {
    const begun = Promise.withResolvers<void>();
    const { queue, controller, records } = harness({
      drainTimeoutMs,
      reconcile: async (_key, { signal }) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw new KubeError('Aborted', 'the call was aborted');
      },
    });
    const stop = new AbortController();
    const lost = new AbortController();
    const run = controller.run(stop.signal, lost.signal);
    queue.add('a');
    await begun.promise;
    if (drainTimeoutMs > 1000) lost.abort();
    stop.abort();
    await run;
    assert.deepEqual(outcomes(records), ['a interrupted']);
    assert.equal(queue.length, 1);
  });
}

// Otherwise a leader would lose its Lease while it reconciles a hundred thousand unchanged objects.
test('reconciles that never wait still let timers and answers run', async () => {
  const keys = 300;
  const { queue, controller, records } = harness({
    reconcile: async () => {
      for (const until = performance.now() + 1; performance.now() < until; );
    },
    workers: 32,
  });
  for (let key = 0; key < keys; key += 1) queue.add(`key-${key}`);
  const end = begin((signal) => controller.run(signal));
  const turns: number[] = [];
  for (const endsAt = performance.now() + 30_000; records.length < keys; ) {
    assert.ok(performance.now() < endsAt, `only ${records.length} reconciles have ended`);
    await new Promise((resolve) => setTimeout(resolve));
    turns.push(records.length);
  }
  await end();
  const most = Math.max(...turns.map((count, i) => count - (turns[i - 1] ?? 0)));
  // A turn is 10 ms and a reconcile 1 ms, or more on a busy machine.
  assert.ok(most <= keys / 3, `${most} of ${keys} reconciles in one turn`);
});
