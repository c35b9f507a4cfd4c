import { onAbort } from '../async/abort.ts';
import { type Backoff, backoffMs } from '../async/backoff.ts';
import { DelayingQueue } from './delaying-queue.ts';
import { FairQueue, type Priority } from './fair-queue.ts';
import { refOf } from './object-key.ts';

/** The time and timers of a WorkQueue; tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after `ms` milliseconds, unless the returned function is called before. */
  schedule(callback: () => void, ms: number): () => void;
}

export interface WorkQueueOptions {
  /** Delays of {@link WorkQueue.addRateLimited}. Default 500 ms doubling to 5 minutes. */
  readonly backoff?: Backoff | undefined;
  /** What a key belongs to: of those that wait, every flow gets its turn. Default: its namespace. */
  readonly flowOf?: ((key: string) => string) | undefined;
  /** How many keys of one flow may be in work at a time, so that workers are left for the others. Default: any number. */
  readonly maxPerFlow?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1): for the jitter. */
  readonly random?: (() => number) | undefined;
}

const systemClock: Clock = {
  now: Date.now,
  schedule(callback, ms) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

// A timer takes at most 2^31 ms, and counts time that the wall clock may skip: look again at least once a minute.
const longestTimerMs = 60_000;

const namespaceOf = (key: string): string => refOf(key).namespace ?? '';

/**
 * The keys of objects that need a look, each at most once. A key that is added while it is being processed comes again
 * when it is done, and is never given to two workers at the same time. Namespaces take turns: one with thousands of keys
 * does not keep the others waiting.
 */
export class WorkQueue {
  readonly #backoff: Backoff;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Waiting to be taken. */
  readonly #ready: FairQueue;
  readonly #processing = new Set<string>();
  /** Added while being processed. */
  readonly #dirty = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #waiters: ((key: string | undefined) => void)[] = [];
  readonly #delayed = new DelayingQueue();
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #isShutDown = false;

  constructor(options: WorkQueueOptions = {}) {
    this.#backoff = options.backoff ?? { baseMs: 500, maxMs: 300_000 };
    this.#ready = new FairQueue(options.flowOf ?? namespaceOf, options.maxPerFlow);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /** Keys that are waiting to be taken; delayed ones are not counted. */
  get length(): number {
    return this.#ready.size;
  }

  add(key: string): void {
    this.#add(key, 'requested');
  }

  /** Adds a key that nobody waits for: such keys have one turn of four of their flow while any others of it wait. */
  addInBackground(key: string): void {
    if (!this.#ready.has(key)) this.#add(key, 'background');
  }

  /** Nobody waits for the keys that are there now. */
  putOff(): void {
    this.#ready.putOff();
  }

  addAfter(key: string, ms: number): void {
    this.addAt(key, new Date(this.#clock.now() + ms));
  }

  /** Adds `key` at `date`. Of several dates for one key the earliest counts. */
  addAt(key: string, date: Date): void {
    if (this.#isShutDown) return;
    const at = date.getTime();
    if (!(at > this.#clock.now())) {
      this.add(key);
      return;
    }
    this.#delayed.set(key, at);
    this.#arm();
  }

  /** Adds `key` after a delay that grows with every call since the last {@link forget}. Returns the delay in milliseconds. */
  addRateLimited(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const ms = backoffMs(failures, this.#backoff, this.#random);
    this.addAfter(key, ms);
    return ms;
  }

  /** Ends the growth of delays for `key`; to be called when it went well. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Takes the next key, when there is one; undefined when `signal` aborts, or the queue is shut down and empty. */
  get(signal?: AbortSignal): Promise<string | undefined> {
    if (signal?.aborted) return Promise.resolve(undefined);
    const key = this.#take();
    if (key !== undefined) return Promise.resolve(key);
    if (this.#isOver) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiter = (key: string | undefined): void => {
        stopListening();
        resolve(key);
      };
      const leave = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        resolve(undefined);
      };
      this.#waiters.push(waiter);
      const stopListening = onAbort(signal, leave);
    });
  }

  /** To be called once for every key taken, when its processing has ended. */
  done(key: string): void {
    if (!this.#processing.delete(key)) return;
    this.#ready.done(key);
    if (this.#dirty.delete(key)) this.add(key);
    this.#handOut();
  }

  /** Takes in nothing more and drops what is delayed; what is ready can still be taken. */
  shutDown(): void {
    this.#isShutDown = true;
    this.#timer?.cancel();
    this.#handOut();
  }

  #add(key: string, priority: Priority): void {
    if (this.#isShutDown) return;
    if (this.#processing.has(key)) {
      this.#dirty.add(key);
      return;
    }
    this.#ready.push(key, priority);
    this.#handOut();
  }

  get #isOver(): boolean {
    return this.#isShutDown && this.#ready.size === 0;
  }

  #take(): string | undefined {
    const key = this.#ready.take();
    if (key !== undefined) this.#processing.add(key);
    return key;
  }

  /** Gives what may be taken to those who wait for it; when there will be nothing more, they need not. */
  #handOut(): void {
    while (this.#waiters.length > 0) {
      const key = this.#take();
      if (key === undefined) break;
      this.#waiters.shift()?.(key);
    }
    if (this.#isOver) for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }

  #arm(): void {
    const at = this.#delayed.nextAt;
    if (at === undefined || (this.#timer !== undefined && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const ms = Math.min(longestTimerMs, Math.max(0, at - this.#clock.now()));
    this.#timer = { at, cancel: this.#clock.schedule(() => this.#release(), ms) };
  }

  #release(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let key = this.#delayed.takeDue(now); key !== undefined; key = this.#delayed.takeDue(now)) this.add(key);
    this.#arm();
  }
}
