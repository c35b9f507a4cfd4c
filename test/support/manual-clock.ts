import type { Clock } from '../../src/kube/index.ts';

interface Timer {
  /** On the monotonic clock. */
  readonly atMs: number;
  readonly callback: () => void;
}

/** A wall clock and a monotonic clock that move only when the test advances them. */
export class ManualClock implements Clock {
  #monotonicMs = 0;
  readonly #startMs: number;
  /** What the wall clock differs from the right time. */
  #wrongByMs = 0;
  readonly #timers = new Set<Timer>();

  /** @param nowMs start time, in milliseconds since the epoch */
  constructor(nowMs = 0) {
    this.#startMs = nowMs;
  }

  readonly now = (): number => this.#startMs + this.#wrongByMs + this.#monotonicMs;

  readonly monotonicMs = (): number => this.#monotonicMs;

  readonly schedule = (callback: () => void, ms: number): (() => void) => {
    // As in Node.js: a timer has whole milliseconds, and at least one.
    const wholeMs = ms > 0 ? Math.max(1, Math.trunc(ms)) : 0;
    const timer = { atMs: this.#monotonicMs + wholeMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** When the next timer is due. Undefined if there is none. */
  get nextAt(): number | undefined {
    const next = this.#next;
    return next && this.now() + next.atMs - this.#monotonicMs;
  }

  /** Sets the wall clock, but not the monotonic clock. Zero is the right time. */
  setWrongBy(ms: number): void {
    this.#wrongByMs = ms;
  }

  /** Advances both clocks until the wall clock shows this moment. Each due timer fires at its own time. */
  advanceTo(ms: number): void {
    this.advance(ms - this.now());
  }

  /** Advances both clocks. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (let timer = this.#next; timer !== undefined && timer.atMs <= endMs; timer = this.#next) {
      this.#timers.delete(timer);
      this.#monotonicMs = Math.max(this.#monotonicMs, timer.atMs);
      timer.callback();
    }
    this.#monotonicMs = Math.max(this.#monotonicMs, endMs);
  }

  get #next(): Timer | undefined {
    return [...this.#timers].reduce<Timer | undefined>(
      (first, timer) => (first === undefined || timer.atMs < first.atMs ? timer : first),
      undefined,
    );
  }
}
