import { onAbort } from '../async/abort.ts';
import { KubeError } from './kube-error.ts';

/** One end for a call: its caller's signal, or a time that can be pushed back while something still happens. */
export class Deadline {
  /** Called when the end comes: what is under way stops. At most one thing is under way at a time. */
  onOver: (() => void) | undefined;
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #outer: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #endsAtMs: number;
  #isOver = false;
  #hasEnded = false;

  /** `what` begins the message of a time-out. An infinite `timeoutMs` leaves the caller's signal alone. */
  constructor(what: string, timeoutMs: number, outer?: AbortSignal) {
    this.#what = what;
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    this.#endsAtMs = performance.now() + timeoutMs;
    this.#start();
    if (outer?.aborted) this.#finish();
    else if (outer !== undefined) finishesOf(outer).add(this.#finish);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get remainingMs(): number {
    return this.#endsAtMs - performance.now();
  }

  /** The end for what takes a signal. Made when it is first asked for: most calls never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isOver) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Starts the time again, also after a pause. */
  extend(): void {
    this.#endsAtMs = performance.now() + this.#timeoutMs;
    if (this.#timer === undefined) this.#start();
    else this.#timer.refresh();
  }

  /** Stops the time until it is extended: the caller is busy, and the other side has to wait. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#endsAtMs = Number.POSITIVE_INFINITY;
  }

  /** The result of something that cannot be cut short, or the deadline's error when that comes first. */
  async within<T>(promise: Promise<T>): Promise<T> {
    const over = Promise.withResolvers<never>();
    this.onOver = () => over.reject(this.error(false));
    if (this.#isOver) this.onOver();
    try {
      return await Promise.race([promise, over.promise]);
    } finally {
      this.onOver = undefined;
    }
  }

  /** Must be called when the call is over. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    if (this.#outer !== undefined) finishes.get(this.#outer)?.delete(this.#finish);
  }

  /** Why it is over. */
  error(outcomeUnknown: boolean): KubeError {
    if (this.#outer?.aborted) return new KubeError('Aborted', 'the call was aborted', { outcomeUnknown });
    const seconds = Math.round(this.#timeoutMs) / 1000;
    return new KubeError('Timeout', `${this.#what} within ${seconds} s`, { outcomeUnknown });
  }

  #start(): void {
    const isLimited = Number.isFinite(this.#timeoutMs) && !this.#isOver && !this.#hasEnded;
    if (isLimited) this.#timer = setTimeout(this.#finish, this.#timeoutMs);
  }

  readonly #finish = (): void => {
    this.#isOver = true;
    this.#controller?.abort();
    this.onOver?.();
  };
}

/** What there is to be ended when a signal aborts. */
const finishes = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * One listener a signal: the signal of the whole program is behind every call, and an EventTarget looks through all of its
 * listeners whenever one comes or goes. Not AbortSignal.any: its sources would keep every call's signal as long as they live.
 */
function finishesOf(signal: AbortSignal): Set<() => void> {
  const known = finishes.get(signal);
  if (known !== undefined) return known;
  const under = new Set<() => void>();
  finishes.set(signal, under);
  const finishAll = (): void => {
    for (const finish of under) finish();
  };
  onAbort(signal, finishAll);
  return under;
}
