import type { Clock } from '../../src/kube/index.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when the test advances it. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<Timer>();

  /** @param nowMs start time, in milliseconds since the epoch */
  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  readonly now = (): number => this.#nowMs;

  readonly monotonicMs = this.now;

  readonly schedule = (callback: () => void, ms: number): (() => void) => {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** When the next timer is due. Undefined if there is none. */
  get nextAt(): number | undefined {
    return this.#next?.atMs;
  }

  /** Advances the clock to this moment. Each due timer fires at its own time. */
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
