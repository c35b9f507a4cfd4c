import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, WorkQueue } from '../../../../src/kube/index.ts';
import * as fc from '../../../support/properties.ts';
import { historyRuns } from '../../../support/runs.ts';

// For more histories: QUEUE_RUNS=50000 npm test -- unit work-queue-model
const runs = historyRuns('QUEUE_RUNS', 400);

type Priority = 'requested' | 'background';

type Step =
  | readonly ['add' | 'addInBackground' | 'addRateLimited' | 'forget', key: string]
  | readonly ['addAfter', key: string, ms: number]
  | readonly ['pass' | 'setWall', ms: number]
  | readonly ['done' | 'leave', nth: number]
  | readonly ['get' | 'getTooLate' | 'putOff' | 'shutDown'];

const flowOf = (key: string): string => key.slice(0, 1);

/** A clock that the test moves. */
class TestClock implements Clock {
  nowMs = 0;
  /** What the wall clock is ahead. */
  wallAheadMs = 0;
  readonly timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  now(): number {
    return this.nowMs + this.wallAheadMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  schedule(callback: () => void, ms: number): () => void {
    const timer = { atMs: this.nowMs + ms, callback };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.timers.delete(next);
      this.nowMs = next.atMs;
      next.callback();
    }
    this.nowMs = endMs;
  }
}

/** A model of a queue with at most `most` keys of a flow in progress, and of its workers. */
class Model {
  readonly clock = new TestClock();
  readonly queue: WorkQueue;
  readonly #most: number;
  readonly #waiting = new Map<string, Priority>();
  readonly #inProgress = new Set<string>();
  /** Keys that were added while in progress. */
  readonly #again = new Set<string>();
  readonly #dueAt = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  /** All workers that have called `get`. A worker may stop at any time, also while it has a key. */
  readonly #workers: AbortController[] = [];
  /** The signals of the workers that wait for a key. */
  readonly #idle = new Set<AbortSignal>();
  /** How many turns each flow has had since it last had no keys. */
  readonly #turns = new Map<string, number>();
  /** Flows that could have had a turn after the last step. */
  readonly #eligible = new Set<string>();
  /** How many turns other flows have had while a flow waited, by `waiting:other`. */
  readonly #passed = new Map<string, number>();
  #isShutDown = false;
  #problem: string | undefined;
  /** How many keys were given out, to show that the test did something. */
  given = 0;

  constructor(most: number) {
    this.#most = most;
    this.queue = new WorkQueue({
      clock: this.clock,
      maxPerFlow: most,
      flowOf,
      random: () => 0,
      backoff: { baseMs: 10, maxMs: 80 },
    });
  }

  async take(step: Step): Promise<void> {
    this.#carryOut(step);
    await new Promise(setImmediate);
    this.#check();
  }

  /** Finishes all work. Afterwards every key that was added has been given out. */
  async finish(): Promise<void> {
    for (let round = 0; this.#inProgress.size + this.#waiting.size + this.#dueAt.size > 0; round += 1) {
      assert.ok(round < 1000, 'keys are never given out');
      if (this.#idle.size === 0) await this.take(['get']);
      await this.take(['pass', 1000]);
      await this.take(['done', 0]);
    }
    await this.take(['shutDown']);
    assert.deepEqual([this.#idle.size, this.queue.length, this.clock.timers.size], [0, 0, 0]);
  }

  #carryOut(step: Step): void {
    const { queue, clock } = this;
    switch (step[0]) {
      case 'add':
        this.#add(step[1], 'requested');
        return queue.add(step[1]);
      case 'addInBackground':
        if (!this.#waiting.has(step[1])) this.#add(step[1], 'background');
        return queue.addInBackground(step[1]);
      case 'addAfter':
        this.#addAfter(step[1], step[2]);
        return queue.addAfter(step[1], step[2]);
      case 'addRateLimited': {
        const failures = this.#failures.get(step[1]) ?? 0;
        this.#failures.set(step[1], failures + 1);
        const ms = Math.min(80, 10 * 2 ** failures);
        this.#addAfter(step[1], ms);
        assert.equal(queue.addRateLimited(step[1]), ms);
        return;
      }
      case 'forget':
        this.#failures.delete(step[1]);
        return queue.forget(step[1]);
      case 'pass':
        for (const [key, atMs] of [...this.#dueAt].sort(([, a], [, b]) => a - b)) {
          if (atMs > clock.nowMs + step[1]) break;
          this.#dueAt.delete(key);
          this.#add(key, 'requested');
        }
        return clock.pass(step[1]);
      case 'setWall':
        clock.wallAheadMs = step[1];
        return;
      case 'putOff':
        for (const key of this.#waiting.keys()) this.#waiting.set(key, 'background');
        return queue.putOff();
      case 'done': {
        const key = [...this.#inProgress][step[1] % this.#inProgress.size];
        return key === undefined ? queue.done('a0') : this.#done(key);
      }
      case 'get':
        return this.#get();
      case 'getTooLate':
        return this.#get(AbortSignal.abort());
      case 'leave':
        return this.#workers[step[1] % this.#workers.length]?.abort();
      case 'shutDown':
        this.#isShutDown = true;
        this.#again.clear();
        this.#dueAt.clear();
        return queue.shutDown();
    }
  }

  #add(key: string, priority: Priority): void {
    if (this.#isShutDown) return;
    if (this.#inProgress.has(key)) this.#again.add(key);
    else this.#waiting.set(key, priority);
  }

  #addAfter(key: string, ms: number): void {
    if (this.#isShutDown) return;
    const atMs = this.clock.nowMs + ms;
    if (ms === 0) this.#add(key, 'requested');
    else this.#dueAt.set(key, Math.min(atMs, this.#dueAt.get(key) ?? atMs));
  }

  #done(key: string): void {
    this.#inProgress.delete(key);
    this.#forgetFlow(flowOf(key));
    if (this.#again.delete(key)) this.#add(key, 'requested');
    this.queue.done(key);
  }

  #get(signal = this.#newWorker()): void {
    this.#idle.add(signal);
    void this.#work(signal);
  }

  #newWorker(): AbortSignal {
    const worker = new AbortController();
    this.#workers.push(worker);
    return worker.signal;
  }

  async #work(signal: AbortSignal): Promise<void> {
    const wasAborted = signal.aborted;
    const key = await this.queue.get(signal);
    this.#idle.delete(signal);
    if (key === undefined) {
      const isOver = this.#isShutDown && this.#waiting.size === 0;
      if (!signal.aborted && !isOver) this.#problem ??= 'a worker got no key from a queue that is not over';
    } else if (wasAborted) this.#problem ??= 'a worker that had stopped was given a key';
    else this.#given(key);
  }

  /** Checks a key that a worker got: it must wait, and it must be the turn of its flow and priority. */
  #given(key: string): void {
    const flow = flowOf(key);
    const priority = this.#waiting.get(key);
    const turn = (this.#turns.get(flow) ?? 0) + 1;
    const due: Priority = turn % 4 === 0 ? 'background' : 'requested';
    const ofFlow = [...this.#waiting].filter(([one]) => flowOf(one) === flow);
    if (priority === undefined) this.#problem ??= `${key} was given out and did not wait`;
    else if (!this.#canTake(flow)) this.#problem ??= `${key} is one too many of its flow`;
    else if (priority !== due && ofFlow.some(([, one]) => one === due))
      this.#problem ??= `${key} came before one ${due}`;
    this.#turns.set(flow, turn);
    for (const other of this.#eligible) {
      if (other === flow) continue;
      const passed = (this.#passed.get(`${other}:${flow}`) ?? 0) + 1;
      this.#passed.set(`${other}:${flow}`, passed);
      if (passed > 1) this.#problem ??= `flow ${flow} was served twice while flow ${other} waited`;
    }
    for (const pair of this.#passed.keys()) if (pair.startsWith(flow)) this.#passed.delete(pair);
    this.#eligible.delete(flow);
    this.#waiting.delete(key);
    this.#inProgress.add(key);
    this.given += 1;
  }

  #canTake(flow: string): boolean {
    return [...this.#inProgress].filter((key) => flowOf(key) === flow).length < this.#most;
  }

  #forgetFlow(flow: string): void {
    const isKnown = [...this.#inProgress, ...this.#waiting.keys()].some((key) => flowOf(key) === flow);
    if (!isKnown) this.#turns.delete(flow);
  }

  #check(): void {
    assert.equal(this.#problem, undefined);
    assert.equal(this.queue.length, this.#waiting.size);
    const free = [...this.#waiting.keys()].find((key) => this.#canTake(flowOf(key)));
    assert.ok(this.#idle.size === 0 || free === undefined, `a worker waits, and ${free} too`);
    assert.ok(this.#idle.size === 0 || !this.#isShutDown || this.#waiting.size > 0, 'a worker waits for nothing');
    this.#eligible.clear();
    for (const flow of new Set([...this.#waiting.keys()].map(flowOf))) {
      if (this.#canTake(flow)) this.#eligible.add(flow);
    }
    // A superseded time may still have a timer.
    const { size } = this.clock.timers;
    assert.ok(
      size <= 1 && (size === 1 || this.#dueAt.size === 0) && (size === 0 || !this.#isShutDown),
      `${size} timers`,
    );
  }
}

const keys = fc
  .tuple(fc.constantFrom('a', 'a', 'a', 'b', 'c'), fc.integer({ min: 1, max: 5 }))
  .map(([flow, nth]) => `${flow}${nth}`);
const anyOf = (weight: number, arbitrary: fc.Arbitrary<Step>) => ({ weight, arbitrary });
const day = 86_400_000;
const times = fc.constantFrom(0, 1, 5, 30, 1000);
const steps: fc.Arbitrary<Step> = fc.oneof(
  anyOf(
    8,
    keys.map((key) => ['add', key]),
  ),
  anyOf(
    4,
    keys.map((key) => ['addInBackground', key]),
  ),
  anyOf(
    3,
    fc.tuple(keys, times).map(([key, ms]) => ['addAfter', key, ms]),
  ),
  anyOf(
    2,
    keys.map((key) => ['addRateLimited', key]),
  ),
  anyOf(
    1,
    keys.map((key) => ['forget', key]),
  ),
  anyOf(
    3,
    times.map((ms) => ['pass', ms]),
  ),
  anyOf(
    1,
    fc.constantFrom(-day, 0, day).map((ms) => ['setWall', ms]),
  ),
  anyOf(8, fc.constant(['get'])),
  anyOf(1, fc.constant(['getTooLate'])),
  anyOf(
    7,
    fc.nat({ max: 9 }).map((nth) => ['done', nth]),
  ),
  anyOf(
    2,
    fc.nat({ max: 99 }).map((nth) => ['leave', nth]),
  ),
  anyOf(1, fc.constant(['putOff'])),
);

test('for any history of a queue, no flow exceeds its limit, and no key is lost or given out twice', async (t) => {
  let given = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 2, 3, Number.POSITIVE_INFINITY),
      fc.array(steps, { minLength: 20, maxLength: 100, size: 'max' }),
      fc.option(fc.nat({ max: 100 }), { freq: 2 }),
      async (most, history, shutDownAt) => {
        const model = new Model(most);
        for (const [index, step] of history.entries()) {
          if (index === shutDownAt) await model.take(['shutDown']);
          await model.take(step);
        }
        await model.finish();
        given += model.given;
      },
    ),
    runs,
  );
  t.diagnostic(`${runs.numRuns} histories, ${given} keys given out`);
  assert.ok(given > 10 * runs.numRuns, 'hardly any key was given out');
});
