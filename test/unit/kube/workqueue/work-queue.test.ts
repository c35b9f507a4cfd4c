import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, WorkQueue } from '../../../../src/kube/index.ts';
import * as fc from '../../../support/properties.ts';

/** A clock that moves only when `advance` is called. `setWall` moves the wall clock only. */
class ManualClock implements Clock {
  #now = 1000;
  #wallAheadMs = Date.UTC(2026, 0, 1);
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.#now + this.#wallAheadMs;
  }

  setWall(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  monotonicMs(): number {
    return this.#now;
  }

  schedule(callback: () => void, ms: number): () => void {
    assert.ok(ms >= 0 && ms < 2 ** 31, `no timer takes ${ms} ms`);
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > end) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = end;
  }
}

const day = 86_400_000;

function queueOnManualClock(): { queue: WorkQueue; clock: ManualClock } {
  const clock = new ManualClock();
  return { queue: new WorkQueue({ clock, random: () => 0 }), clock };
}

test('a key that is added again while it waits is returned once, at its first position', async () => {
  const { queue } = queueOnManualClock();
  for (const key of ['a', 'b', 'a']) queue.add(key);
  assert.deepEqual([await queue.get(), await queue.get(), queue.length], ['a', 'b', 0]);
});

test('namespaces take turns, cluster-scoped keys are a flow of their own, and flowOf can change that', async () => {
  const added = ['a/1', 'a/2', 'node', 'other', 'b/1'];
  const take = async (queue: WorkQueue): Promise<(string | undefined)[]> => {
    for (const key of added) queue.add(key);
    return [await queue.get(), await queue.get(), await queue.get(), await queue.get(), await queue.get()];
  };
  assert.deepEqual(await take(new WorkQueue()), ['a/1', 'node', 'b/1', 'a/2', 'other']);
  assert.deepEqual(await take(new WorkQueue({ flowOf: () => '' })), added);
});

test('a key that is added while it is processed is returned again only when it is done', async () => {
  const { queue } = queueOnManualClock();
  queue.add('a');
  await queue.get();
  queue.add('a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(queue.length, 1);
  await queue.get();
  queue.done('a');
  assert.equal(queue.length, 0);
});

test('a waiting worker gets the next key, and a worker that has stopped gets none', async () => {
  const { queue } = queueOnManualClock();
  const leaving = new AbortController();
  const left = queue.get(leaving.signal);
  const waiting = queue.get();
  leaving.abort();
  queue.add('a');
  assert.deepEqual([await left, await waiting], [undefined, 'a']);
});

test('a delayed key is added when it is due, also after more than 2^31 milliseconds', () => {
  const { queue, clock } = queueOnManualClock();
  queue.addAt('renewal', new Date(clock.now() + 60 * day));
  queue.addAfter('soon', 1000);
  clock.advance(999);
  assert.equal(queue.length, 0);
  clock.advance(1);
  assert.equal(queue.length, 1);
  clock.advance(60 * day - 1001);
  assert.equal(queue.length, 1);
  clock.advance(1);
  assert.equal(queue.length, 2);
  assert.equal(clock.timers, 0);
});

test('the earlier of two dates for a key counts, in whatever order they are set', () => {
  for (const delays of [
    [10, 500],
    [500, 10],
  ]) {
    const { queue, clock } = queueOnManualClock();
    for (const ms of delays) queue.addAfter('a', ms);
    clock.advance(10);
    assert.equal(queue.length, 1);
    clock.advance(1000);
    assert.equal(queue.length, 1);
    assert.equal(clock.timers, 0);
  }
});

test('a clock that is set back or forward does not change a delay', () => {
  for (const byMs of [-day, day]) {
    const { queue, clock } = queueOnManualClock();
    queue.addAfter('poll', 1000);
    queue.addRateLimited('retry');
    clock.setWall(byMs);
    clock.advance(500);
    assert.equal(queue.length, 1);
    queue.addAfter('second poll', 500);
    clock.advance(500);
    assert.equal(queue.length, 3);
  }
});

test('a clock that is set back does not delay a key with a date, and one that is set forward is noticed within a minute', () => {
  const back = queueOnManualClock();
  back.queue.addAt('renewal', new Date(back.clock.now() + 3000));
  back.clock.setWall(-day);
  back.clock.advance(2999);
  assert.equal(back.queue.length, 0);
  back.clock.advance(1001);
  assert.equal(back.queue.length, 1);
  back.clock.advance(2 * day);
  assert.equal(back.queue.length, 1, 'its date does not add it again');
  assert.equal(back.clock.timers, 0);

  const forward = queueOnManualClock();
  forward.queue.addAt('renewal', new Date(forward.clock.now() + day));
  forward.clock.setWall(day);
  forward.clock.advance(60_000);
  assert.equal(forward.queue.length, 1);
  forward.clock.advance(2 * day);
  assert.equal(forward.queue.length, 1);
});

test('a clock that is set back after a worker has computed a date does not delay the key', async () => {
  const { queue, clock } = queueOnManualClock();
  queue.add('a');
  await queue.get();
  const date = new Date(clock.now() + 3000);
  clock.setWall(-day);
  clock.advance(1000);
  queue.addAt('a', date);
  queue.done('a');
  clock.advance(3000);
  assert.equal(queue.length, 1);
});

test('a key with a past or invalid date is added at once', () => {
  const { queue } = queueOnManualClock();
  queue.addAt('a', new Date(0));
  queue.addAt('b', new Date('tomorrow'));
  assert.equal(queue.length, 2);
});

test('each failure doubles the delay up to the maximum, and forget resets it', () => {
  const { clock } = queueOnManualClock();
  const queue = new WorkQueue({ clock, random: () => 0, backoff: { baseMs: 500, maxMs: 3000 } });
  const delays = [1, 2, 3, 4, 5].map(() => queue.addRateLimited('a'));
  assert.deepEqual(delays, [500, 1000, 2000, 3000, 3000]);
  queue.forget('a');
  assert.equal(queue.addRateLimited('a'), 500);
  assert.equal(queue.addRateLimited('b'), 500);
});

test('the jitter shortens a delay by up to a half', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(random, fc.integer({ min: 0, max: 2000 }), (value, failures) => {
      const queue = new WorkQueue({ clock: new ManualClock(), random: () => value });
      for (let count = 0; count < failures; count += 1) queue.addRateLimited('a');
      const full = Math.min(300_000, 500 * 2 ** Math.min(failures, 20));
      const delay = queue.addRateLimited('a');
      assert.ok(delay > full / 2 - 1e-6 && delay <= full);
    }),
    { numRuns: 50 },
  );
});

test('a queue that is shut down returns the waiting keys, then undefined, and accepts no keys', async () => {
  const { queue, clock } = queueOnManualClock();
  queue.add('processed');
  await queue.get();
  queue.add('processed');
  queue.add('ready');
  queue.addAfter('delayed', 5);
  queue.shutDown();
  queue.done('processed');
  queue.add('late');
  clock.advance(100);
  assert.deepEqual([await queue.get(), await queue.get()], ['ready', undefined]);
  assert.equal(clock.timers, 0);

  const { queue: empty } = queueOnManualClock();
  const waiting = empty.get();
  empty.shutDown();
  assert.equal(await waiting, undefined);
});

interface Model {
  /** Keys in the order of their arrival. Keys that were due at the same time are one arrival. */
  readonly ready: { readonly key: string; readonly arrival: number }[];
  readonly processing: Set<string>;
  readonly dirty: Set<string>;
  readonly dueAt: Map<string, number>;
  now: number;
  arrivals: number;
}

interface Real {
  readonly queue: WorkQueue;
  readonly clock: ManualClock;
}

function modelAdd(model: Model, key: string, arrival = ++model.arrivals): void {
  if (model.processing.has(key)) model.dirty.add(key);
  else if (!model.ready.some((ready) => ready.key === key)) model.ready.push({ key, arrival });
}

const namespaceOf = (key: string): string => key.split('/')[0] ?? '';

class Add implements fc.AsyncCommand<Model, Real> {
  readonly key: string;
  constructor(key: string) {
    this.key = key;
  }
  check = (): boolean => true;
  async run(model: Model, { queue }: Real): Promise<void> {
    modelAdd(model, this.key);
    queue.add(this.key);
    assert.equal(queue.length, model.ready.length);
  }
  toString = (): string => `add(${this.key})`;
}

class AddAfter implements fc.AsyncCommand<Model, Real> {
  readonly key: string;
  readonly ms: number;
  constructor(key: string, ms: number) {
    this.key = key;
    this.ms = ms;
  }
  check = (): boolean => true;
  async run(model: Model, { queue }: Real): Promise<void> {
    const at = model.now + this.ms;
    if (this.ms === 0) modelAdd(model, this.key);
    else model.dueAt.set(this.key, Math.min(at, model.dueAt.get(this.key) ?? at));
    queue.addAfter(this.key, this.ms);
    assert.equal(queue.length, model.ready.length);
  }
  toString = (): string => `addAfter(${this.key}, ${this.ms})`;
}

class Advance implements fc.AsyncCommand<Model, Real> {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
  check = (): boolean => true;
  async run(model: Model, { queue, clock }: Real): Promise<void> {
    model.now += this.ms;
    const due = [...model.dueAt].filter(([, at]) => at <= model.now).sort(([, a], [, b]) => a - b);
    const arrivals = model.arrivals;
    for (const [key, at] of due) {
      model.dueAt.delete(key);
      const arrival = arrivals + due.findIndex(([, other]) => other === at) + 1;
      modelAdd(model, key, arrival);
    }
    model.arrivals += due.length;
    clock.advance(this.ms);
    assert.equal(queue.length, model.ready.length);
  }
  toString = (): string => `advance(${this.ms})`;
}

class Get implements fc.AsyncCommand<Model, Real> {
  check = ({ ready }: Readonly<Model>): boolean => ready.length > 0;
  async run(model: Model, { queue }: Real): Promise<void> {
    const key = await queue.get();
    assert.ok(key !== undefined && !model.processing.has(key), `${key} is being processed already`);
    const taken = model.ready.find((ready) => ready.key === key) ?? assert.fail(`${key} was not waiting`);
    const own = model.ready.filter((ready) => namespaceOf(ready.key) === namespaceOf(key));
    assert.ok(
      own.every(({ arrival }) => arrival >= taken.arrival),
      `${key} is not the first of its namespace`,
    );
    model.ready.splice(model.ready.indexOf(taken), 1);
    model.processing.add(key);
  }
  toString = (): string => 'get()';
}

class Done implements fc.AsyncCommand<Model, Real> {
  readonly key: string;
  constructor(key: string) {
    this.key = key;
  }
  check = ({ processing }: Readonly<Model>): boolean => processing.has(this.key);
  async run(model: Model, { queue }: Real): Promise<void> {
    model.processing.delete(this.key);
    if (model.dirty.delete(this.key)) modelAdd(model, this.key);
    queue.done(this.key);
    assert.equal(queue.length, model.ready.length);
  }
  toString = (): string => `done(${this.key})`;
}

test('for any history, no key is given out twice at the same time, none is lost, and each namespace is first in, first out', async () => {
  const keys = fc.constantFrom('n/a', 'n/b', 'n/c', 'm/a', 'm/b');
  const commands = fc.commands(
    [
      keys.map((key) => new Add(key)),
      fc.tuple(keys, fc.integer({ min: 0, max: 200_000 })).map(([key, ms]) => new AddAfter(key, ms)),
      fc.integer({ min: 1, max: 200_000 }).map((ms) => new Advance(ms)),
      fc.constant(new Get()),
      keys.map((key) => new Done(key)),
    ],
    { maxCommands: 60 },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (run) => {
      await fc.asyncModelRun(() => {
        const real = queueOnManualClock();
        const model = {
          ready: [],
          processing: new Set<string>(),
          dirty: new Set<string>(),
          dueAt: new Map(),
          now: real.clock.now(),
          arrivals: 0,
        };
        return { model, real };
      }, run);
    }),
    { numRuns: 300 },
  );
});

test('a flow at its limit does not delay other flows, and continues when one of its keys is done', async () => {
  const queue = new WorkQueue({ maxPerFlow: 2 });
  for (const key of ['a/1', 'a/2', 'a/3', 'a/4']) queue.add(key);
  assert.deepEqual([await queue.get(), await queue.get()], ['a/1', 'a/2']);
  const [next, last] = [queue.get(), queue.get()];
  queue.add('b/1');
  assert.equal(await next, 'b/1');
  assert.equal(queue.length, 2);
  queue.done('a/2');
  assert.equal(await last, 'a/3');
});

test('a queue that is shut down returns the keys of a flow at its limit before it ends', async () => {
  const queue = new WorkQueue({ maxPerFlow: 1 });
  queue.add('a/1');
  queue.add('a/2');
  assert.equal(await queue.get(), 'a/1');
  const [next, end] = [queue.get(), queue.get()];
  queue.shutDown();
  queue.done('a/1');
  assert.equal(await next, 'a/2');
  assert.equal(await end, undefined);
});

test('for any history, no flow exceeds its limit, and no worker waits while a key is available', async () => {
  const keys = fc
    .tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 9 }))
    .map(([flow, i]) => `${flow}/${i}`);
  const steps = fc.array(fc.oneof(keys, fc.constant('get' as const), fc.constant('done' as const)), { maxLength: 120 });
  await fc.assert(
    fc.asyncProperty(steps, async (pattern) => {
      const queue = new WorkQueue({ maxPerFlow: 2 });
      const inWork: string[] = [];
      const waiting = new Set<string>();
      let idle = 0;
      const takeOne = async () => {
        const key = (await queue.get()) ?? assert.fail('the queue is not shut down');
        idle -= 1;
        waiting.delete(key);
        inWork.push(key);
      };
      for (const step of pattern) {
        if (step === 'get') {
          idle += 1;
          void takeOne();
        } else if (step === 'done') {
          const key = inWork.shift();
          if (key !== undefined) queue.done(key);
        } else {
          queue.add(step);
          if (!inWork.includes(step)) waiting.add(step);
        }
        await new Promise(setImmediate);
        const count = (flow: string) => inWork.filter((key) => key.startsWith(flow)).length;
        for (const flow of ['a', 'b', 'c']) assert.ok(count(flow) <= 2);
        const isFree = (key: string) => count(key.slice(0, 1)) < 2;
        if (idle > 0) assert.ok(![...waiting].some(isFree));
      }
    }),
  );
});

test('a background key comes after all others, and addInBackground does not demote a requested key', async () => {
  const queue = new WorkQueue();
  queue.addInBackground('n/well');
  queue.add('n/asked');
  queue.addInBackground('n/asked');
  queue.addInBackground('n/promoted');
  queue.add('n/promoted');
  const taken: (string | undefined)[] = [];
  while (queue.length > 0) taken.push(await queue.get());
  assert.deepEqual(taken, ['n/asked', 'n/promoted', 'n/well']);
});

test('the observer of a queue gets each added key once, how long it waits, how long it is processed, and retries', async () => {
  const clock = new ManualClock();
  const reports: string[] = [];
  const observer = {
    onAdd: () => reports.push('add'),
    onGet: (seconds: number) => reports.push(`waited ${seconds}`),
    onDone: (seconds: number) => reports.push(`worked ${seconds}`),
    onRetry: () => reports.push('retry'),
  };
  const queue = new WorkQueue({ clock, random: () => 0, backoff: { baseMs: 1000, maxMs: 1000 }, observer });
  queue.add('a');
  queue.addInBackground('a');
  queue.putOff();
  clock.advance(500);
  queue.add('a');
  assert.equal(await queue.get(), 'a');
  assert.deepEqual(reports.splice(0), ['add', 'waited 0.5']);
  clock.advance(3000);
  assert.deepEqual(queue.inProgress, { totalSeconds: 3, longestSeconds: 3 });
  // Added twice while it is processed: it waits from the first time on.
  queue.add('a');
  clock.advance(1000);
  queue.add('a');
  queue.done('a');
  queue.done('a');
  assert.equal(await queue.get(), 'a');
  assert.deepEqual(reports.splice(0), ['add', 'worked 4', 'waited 1']);
  const delayMs = queue.addRateLimited('a');
  queue.done('a');
  assert.deepEqual(queue.inProgress, { totalSeconds: 0, longestSeconds: 0 });
  clock.advance(delayMs);
  assert.equal(await queue.get(), 'a');
  assert.deepEqual(reports.splice(0), ['retry', 'worked 0', 'add', 'waited 0']);
  queue.shutDown();
  queue.add('b');
  queue.done('a');
  assert.deepEqual(reports, ['worked 0']);
});
