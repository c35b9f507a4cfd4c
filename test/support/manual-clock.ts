import type { Clock } from '../../src/kube/index.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until the test moves it. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<Timer>();

  /** @param nowMs where it begins, in milliseconds since the epoch */
  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  readonly now = (): number => this.#nowMs;

  readonly schedule = (callback: () => void, ms: number): (() => void) => {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** When the next timer is due; undefined when there is none. */
  get nextAt(): number | undefined {
    return this.#next?.atMs;
  }

  /** Lets time pass up to a moment. Every timer that is due by then is called at its own moment. */
  advanceTo(ms: number): void {
    for (let timer = this.#next; timer !== undefined && timer.atMs <= ms; timer = this.#next) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.callback();
    }
    this.#nowMs = Math.max(this.#nowMs, ms);
  }

  advance(ms: number): void {
    this.advanceTo(this.#nowMs + ms);
  }

  get #next(): Timer | undefined {
    return [...this.#timers].reduce<Timer | undefined>(
      (first, timer) => (first === undefined || timer.atMs < first.atMs ? timer : first),
      undefined,
    );
  }
}
