import { onAbort } from '../async/abort.ts';
import { type Backoff, backoffMs } from '../async/backoff.ts';
import { DelayingQueue } from './delaying-queue.ts';
import { FairQueue } from './fair-queue.ts';
import { refOf } from './object-key.ts';
import type { Priority } from './priority-fifo.ts';

/** The time and timers of a WorkQueue. Tests replace it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds. The returned function cancels the call. */
  schedule(callback: () => void, ms: number): () => void;
  /** Milliseconds of a monotonic clock, for durations. */
  monotonicMs(): number;
}

/** Receives what a WorkQueue reports for metrics. A key that is added while it waits already is not reported. */
export interface WorkQueueObserver {
  onAdd(): void;
  /** A worker got a key that has waited this long. */
  onGet(waitedSeconds: number): void;
  /** A worker has processed a key. */
  onDone(workedSeconds: number): void;
  /** A key is added again with a delay that grows. */
  onRetry(): void;
}

export interface WorkQueueOptions {
  /** The delays of {@link WorkQueue.addRateLimited}. Default 500 ms, doubling to 5 minutes. */
  readonly backoff?: Backoff | undefined;
  /** The flow of a key; flows take turns. Default: the key's namespace. */
  readonly flowOf?: ((key: string) => string) | undefined;
  /** The subflow of a key; the subflows of a flow take turns, too. Default: a flow has no subflows. */
  readonly subflowOf?: ((key: string) => string) | undefined;
  /** How many keys of one flow may be in progress at the same time, so that workers remain for other flows. Default: no limit. */
  readonly maxPerFlow?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1), for the jitter. */
  readonly random?: (() => number) | undefined;
  readonly observer?: WorkQueueObserver | undefined;
}

const systemClock: Clock = {
  now: Date.now,
  schedule(callback, ms) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  monotonicMs: () => performance.now(),
};

// Node.js limits a timer to 2^31 ms, and timers miss jumps of the wall clock. So the queue checks at least once a minute.
const longestTimerMs = 60_000;

/** Two clocks never agree exactly. While the wall clock is right, it reaches a date before the monotonic clock does with this slack. */
const clockSlackMs = 1000;

interface Reading {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

const namespaceOf = (key: string): string => refOf(key).namespace ?? '';

/**
 * The keys of objects to reconcile, each at most once. The queue never gives a key to two workers at the same time: a key that
 * is added while a worker processes it is queued again when that worker is done. Namespaces take turns, so that a namespace with
 * thousands of keys does not delay the others.
 */
export class WorkQueue {
  readonly #backoff: Backoff;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Keys that wait for a worker. */
  readonly #ready: FairQueue;
  /** Keys that a worker processes, and when it got them. */
  readonly #processing = new Map<string, Reading>();
  /** Keys that were added while a worker processes them. */
  readonly #dirty = new Set<string>();
  readonly #observer: WorkQueueObserver | undefined;
  /** When a key that waits or is dirty was added, on the monotonic clock. Empty without an observer. */
  readonly #addedAtMs = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #waiters: ((key: string | undefined) => void)[] = [];
  /** Keys to add at a time of the wall clock. */
  readonly #dated = new DelayingQueue();
  /** Keys to add at a time of the monotonic clock, and the latest times for the keys in `#dated`. */
  readonly #delayed = new DelayingQueue();
  /** `atMs` is a time of the monotonic clock. */
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #isShutDown = false;

  constructor(options: WorkQueueOptions = {}) {
    this.#backoff = options.backoff ?? { baseMs: 500, maxMs: 300_000 };
    const { flowOf = namespaceOf, subflowOf, maxPerFlow } = options;
    this.#ready = new FairQueue(flowOf, maxPerFlow, subflowOf && (() => new FairQueue(subflowOf)));
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#observer = options.observer;
  }

  /** How many keys wait for a worker, without delayed keys. */
  get length(): number {
    return this.#ready.size;
  }

  /** How long workers have processed the keys that are in progress, in seconds. */
  get inProgress(): { readonly totalSeconds: number; readonly longestSeconds: number } {
    const now = this.#clock.monotonicMs();
    let totalMs = 0;
    let longestMs = 0;
    for (const since of this.#processing.values()) {
      totalMs += now - since.monotonicMs;
      longestMs = Math.max(longestMs, now - since.monotonicMs);
    }
    return { totalSeconds: totalMs / 1000, longestSeconds: longestMs / 1000 };
  }

  add(key: string): void {
    this.#add(key, 'requested');
  }

  /** Adds a key with low priority: while its flow has other keys, background keys get one turn of four. */
  addInBackground(key: string): void {
    if (!this.#ready.has(key)) this.#add(key, 'background');
  }

  /** Changes the priority of all keys that wait now to background. */
  putOff(): void {
    this.#ready.putOff();
  }

  /** Adds `key` after a delay, whatever happens to the wall clock. If a key has several times, the earliest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#isShutDown) return;
    if (!(ms > 0)) {
      this.add(key);
      return;
    }
    this.#delayed.set(key, this.#clock.monotonicMs() + ms);
    this.#arm();
  }

  /**
   * Adds `key` at `date`. If a key has several times, the earliest counts. If the wall clock is set back, the key does not wait
   * longer for that: it is added when the time that was left has passed. A worker that processes the key may have computed
   * `date` before the clock was set back. So the time that was left counts from the moment at which it got the key.
   */
  addAt(key: string, date: Date): void {
    if (this.#isShutDown) return;
    const at = date.getTime();
    const now = this.#read();
    const { wallMs, monotonicMs } = this.#processing.get(key) ?? now;
    const latestMs = monotonicMs + (at - wallMs) + clockSlackMs;
    if (!(at > now.wallMs && latestMs > now.monotonicMs)) {
      this.add(key);
      return;
    }
    this.#dated.set(key, at);
    this.#delayed.set(key, latestMs);
    this.#arm();
  }

  /** Adds `key` after a delay that grows with each call until {@link forget}. Returns the delay in milliseconds. */
  addRateLimited(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const ms = backoffMs(failures, this.#backoff, this.#random);
    this.addAfter(key, ms);
    this.#observer?.onRetry();
    return ms;
  }

  /** Resets the delay of {@link addRateLimited}. Call it when a reconcile has succeeded. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Resolves with the next key, or with undefined when `signal` aborts or the queue is shut down and empty. */
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

  /** Marks a key as processed. Call it once for each key that {@link get} returned. */
  done(key: string): void {
    const since = this.#processing.get(key);
    if (since === undefined) return;
    this.#processing.delete(key);
    this.#observer?.onDone((this.#clock.monotonicMs() - since.monotonicMs) / 1000);
    this.#ready.done(key);
    if (this.#dirty.delete(key) && !this.#isShutDown) this.#ready.push(key);
    this.#handOut();
  }

  /** Refuses new keys and drops delayed keys. Workers can still get the keys that wait. */
  shutDown(): void {
    this.#isShutDown = true;
    this.#timer?.cancel();
    this.#handOut();
  }

  #add(key: string, priority: Priority): void {
    if (this.#isShutDown) return;
    const isProcessed = this.#processing.has(key);
    const isWaiting = isProcessed ? this.#dirty.has(key) : this.#ready.has(key);
    if (!isWaiting) this.#added(key);
    if (isProcessed) {
      this.#dirty.add(key);
      return;
    }
    this.#ready.push(key, priority);
    this.#handOut();
  }

  #added(key: string): void {
    if (this.#observer === undefined) return;
    this.#observer.onAdd();
    this.#addedAtMs.set(key, this.#clock.monotonicMs());
  }

  get #isOver(): boolean {
    return this.#isShutDown && this.#ready.size === 0;
  }

  #take(): string | undefined {
    const key = this.#ready.take();
    if (key === undefined) return undefined;
    const now = this.#read();
    this.#processing.set(key, now);
    const addedAtMs = this.#addedAtMs.get(key);
    if (addedAtMs === undefined) return key;
    this.#addedAtMs.delete(key);
    this.#observer?.onGet((now.monotonicMs - addedAtMs) / 1000);
    return key;
  }

  /** Gives keys to waiting workers. If the queue is over, ends their wait with undefined. */
  #handOut(): void {
    while (this.#waiters.length > 0) {
      const key = this.#take();
      if (key === undefined) break;
      this.#waiters.shift()?.(key);
    }
    if (this.#isOver) for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }

  #read(): Reading {
    return { wallMs: this.#clock.now(), monotonicMs: this.#clock.monotonicMs() };
  }

  #arm(): void {
    const { wallMs, monotonicMs } = this.#read();
    const leftMs = Math.min(
      (this.#dated.nextAt ?? Number.POSITIVE_INFINITY) - wallMs,
      (this.#delayed.nextAt ?? Number.POSITIVE_INFINITY) - monotonicMs,
    );
    if (leftMs === Number.POSITIVE_INFINITY) return;
    const ms = Math.min(longestTimerMs, Math.max(0, leftMs));
    if (this.#timer !== undefined && this.#timer.atMs <= monotonicMs + ms) return;
    this.#timer?.cancel();
    this.#timer = { atMs: monotonicMs + ms, cancel: this.#clock.schedule(() => this.#release(), ms) };
  }

  #release(): void {
    this.#timer = undefined;
    const { wallMs, monotonicMs } = this.#read();
    this.#releaseDue(this.#dated, wallMs, this.#delayed);
    this.#releaseDue(this.#delayed, monotonicMs, this.#dated);
    this.#arm();
  }

  /** Adds the keys that are due. A key that is due by one clock does not wait for the other. */
  #releaseDue(due: DelayingQueue, now: number, other: DelayingQueue): void {
    for (let key = due.takeDue(now); key !== undefined; key = due.takeDue(now)) {
      other.delete(key);
      this.add(key);
    }
  }
}
