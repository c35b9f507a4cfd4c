import { onAbort } from '../async/abort.ts';
import { KubeError } from './kube-error.ts';

/** The deadline of a call: the caller's signal or a timeout, whichever comes first. The timeout can be extended while data arrives. */
export class Deadline {
  /** Called when the deadline is over, to stop the operation in progress. There is at most one such operation. */
  onOver: (() => void) | undefined;
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #outer: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #endsAtMs: number;
  #isOver = false;
  #hasEnded = false;

  /** `what` begins the message of a timeout. With an infinite `timeoutMs`, only the caller's signal ends the call. */
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

  /** Aborts when the deadline is over. It is created on first use, because most calls never need it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isOver) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Restarts the timeout, also after a pause. */
  extend(): void {
    this.#endsAtMs = performance.now() + this.#timeoutMs;
    if (this.#timer === undefined) this.#start();
    else this.#timer.refresh();
  }

  /** Stops the timeout until `extend` is called, because the caller is busy and reads no data. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#endsAtMs = Number.POSITIVE_INFINITY;
  }

  /** Waits for a promise that cannot be aborted. Throws the deadline's error if the deadline is over first. */
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

  /** Call it when the call has ended, to release the timer and the listener. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    if (this.#outer !== undefined) finishes.get(this.#outer)?.delete(this.#finish);
  }

  /** The error of a call whose deadline is over: `Aborted` or `Timeout`. */
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

/** For each signal, the deadlines to end when it aborts. */
const finishes = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Registers one listener for each signal. All calls share the signal of the program, and an EventTarget searches all its listeners
 * whenever one is added or removed. AbortSignal.any is no alternative: the source signals would keep the signal of each call alive.
 */
function finishesOf(signal: AbortSignal): Set<() => void> {
  const known = finishes.get(signal);
  if (known !== undefined) return known;
  const added = new Set<() => void>();
  finishes.set(signal, added);
  const finishAll = (): void => {
    for (const finish of added) finish();
  };
  onAbort(signal, finishAll);
  return added;
}
