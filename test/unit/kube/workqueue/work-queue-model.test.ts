import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Clock, WorkQueue } from '../../../../src/kube/index.ts';
import { historyRuns } from '../../../support/runs.ts';

// More of them: QUEUE_RUNS=50000 npm test -- unit work-queue-model
const runs = historyRuns('QUEUE_RUNS', 400);

type Rank = 'requested' | 'background';

type Step =
  | readonly ['add' | 'addInBackground' | 'addRateLimited' | 'forget', key: string]
  | readonly ['addAfter', key: string, ms: number]
  | readonly ['pass', ms: number]
  | readonly ['done' | 'leave', nth: number]
  | readonly ['get' | 'getTooLate' | 'putOff' | 'shutDown'];

const flowOf = (key: string): string => key.slice(0, 1);

/** Time and timers that the test moves. */
class TestClock implements Clock {
  nowMs = 0;
  readonly timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  now(): number {
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

/** What a queue of which one flow may have `most` keys in work has to do, with its workers. */
class Model {
  readonly clock = new TestClock();
  readonly queue: WorkQueue;
  readonly #most: number;
  readonly #waiting = new Map<string, Rank>();
  readonly #inWork = new Set<string>();
  /** Added while in work. */
  readonly #again = new Set<string>();
  readonly #dueAt = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  /** Workers that ever asked for a key. Any of them may stop, also after it was given one. */
  readonly #workers: AbortController[] = [];
  /** The signals of those that have not been given anything yet. */
  readonly #idle = new Set<AbortSignal>();
  /** How often each flow was served since it had no keys. */
  readonly #turns = new Map<string, number>();
  /** Flows that could have been served when the last step had ended. */
  readonly #eligible = new Set<string>();
  /** How often others were served since a flow could have been: `waits:served`. */
  readonly #passed = new Map<string, number>();
  #isShutDown = false;
  #problem: string | undefined;
  /** All that were given out, for the report that the test did something. */
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

  /** Lets all work end. In the end nothing is left: what was ever added was given out. */
  async finish(): Promise<void> {
    for (let round = 0; this.#inWork.size + this.#waiting.size + this.#dueAt.size > 0; round += 1) {
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
      case 'putOff':
        for (const key of this.#waiting.keys()) this.#waiting.set(key, 'background');
        return queue.putOff();
      case 'done': {
        const key = [...this.#inWork][step[1] % this.#inWork.size];
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

  #add(key: string, rank: Rank): void {
    if (this.#isShutDown) return;
    if (this.#inWork.has(key)) this.#again.add(key);
    else this.#waiting.set(key, rank);
  }

  #addAfter(key: string, ms: number): void {
    if (this.#isShutDown) return;
    const atMs = this.clock.nowMs + ms;
    if (ms === 0) this.#add(key, 'requested');
    else this.#dueAt.set(key, Math.min(atMs, this.#dueAt.get(key) ?? atMs));
  }

  #done(key: string): void {
    this.#inWork.delete(key);
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
      if (!signal.aborted && !isOver) this.#problem ??= 'a worker was sent away';
    } else if (wasAborted) this.#problem ??= 'a worker that had stopped was given a key';
    else this.#given(key);
  }

  /** A worker was given a key. It must be one that waits, of a flow and rank whose turn it is. */
  #given(key: string): void {
    const flow = flowOf(key);
    const rank = this.#waiting.get(key);
    const turn = (this.#turns.get(flow) ?? 0) + 1;
    const due: Rank = turn % 4 === 0 ? 'background' : 'requested';
    const ofFlow = [...this.#waiting].filter(([one]) => flowOf(one) === flow);
    if (rank === undefined) this.#problem ??= `${key} was given out and did not wait`;
    else if (!this.#canTake(flow)) this.#problem ??= `${key} is one too many of its flow`;
    else if (rank !== due && ofFlow.some(([, one]) => one === due)) this.#problem ??= `${key} came before one ${due}`;
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
    this.#inWork.add(key);
    this.given += 1;
  }

  #canTake(flow: string): boolean {
    return [...this.#inWork].filter((key) => flowOf(key) === flow).length < this.#most;
  }

  #forgetFlow(flow: string): void {
    const isKnown = [...this.#inWork, ...this.#waiting.keys()].some((key) => flowOf(key) === flow);
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
    // A time that was set and overtaken by an earlier one may still have the timer.
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

test('whatever is added, taken, put off, done and shut down: no flow has more than its share, no key is lost or given out twice', async (t) => {
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
