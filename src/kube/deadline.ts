import { KubeError } from './error.ts';

/** One end for a call: its caller's signal, or a time that can be pushed back while something still happens. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #endsAtMs: number;

  /** `what` begins the message of a time-out. An infinite `timeoutMs` leaves the caller's signal alone. */
  constructor(what: string, timeoutMs: number, outer?: AbortSignal) {
    this.#what = what;
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    this.#endsAtMs = performance.now() + timeoutMs;
    if (Number.isFinite(timeoutMs)) this.#timer = setTimeout(this.#abort, timeoutMs);
    // Not AbortSignal.any: its sources would keep every call's signal for as long as the program's own lives.
    outer?.addEventListener('abort', this.#abort, { once: true });
    if (outer?.aborted) this.#abort();
  }

  get remainingMs(): number {
    return this.#endsAtMs - performance.now();
  }

  /** Starts the time again. */
  extend(): void {
    this.#endsAtMs = performance.now() + this.#timeoutMs;
    this.#timer?.refresh();
  }

  /** Must be called when the call is over. */
  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#abort);
  }

  /** Why `signal` has aborted. */
  error(outcomeUnknown: boolean): KubeError {
    if (this.#outer?.aborted) return new KubeError('Aborted', 'the call was aborted', { outcomeUnknown });
    const seconds = Math.round(this.#timeoutMs) / 1000;
    return new KubeError('Timeout', `${this.#what} within ${seconds} s`, { outcomeUnknown });
  }

  readonly #abort = (): void => {
    this.#controller.abort();
  };
}
