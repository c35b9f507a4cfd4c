import { isKubeError } from '../api/kube-error.ts';
import type { Log } from '../api/log.ts';
import { onAbort } from '../async/abort.ts';
import type { WorkQueue } from '../workqueue/work-queue.ts';
import { TimeSlice } from './time-slice.ts';

/** When to reconcile the key again. Without a date, the key is reconciled only after a change. */
export type Result = void | { readonly requeueAt: Date };

/** A failure that a retry cannot fix. The controller reconciles the key again only after a change. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** One finished reconcile, for metrics. */
export interface ReconcileRecord {
  readonly key: string;
  readonly outcome: 'success' | 'requeued' | 'error' | 'terminal' | 'interrupted';
  readonly seconds: number;
  readonly error?: unknown;
}

export interface ControllerOptions {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly workers: number;
  /** Brings one object to its desired state, whatever its current state. `signal` aborts when the reconcile must stop at once. */
  readonly reconcile: (key: string, context: { readonly signal: AbortSignal }) => Promise<Result>;
  readonly log: Log;
  readonly onResult?: ((record: ReconcileRecord) => void) | undefined;
  /** How long a reconcile may continue after a stop, in milliseconds. Default 20 s, less than a pod's grace period of 30 s. */
  readonly drainTimeoutMs?: number | undefined;
}

/** Takes keys from a queue and reconciles several at the same time. It handles every error of a reconcile. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #timeSlice = new TimeSlice();
  #activeWorkers = 0;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** How many workers reconcile a key now. */
  get activeWorkers(): number {
    return this.#activeWorkers;
  }

  /**
   * Runs until `stop` aborts, and resolves when the reconciles in progress have ended. The controller aborts them when `lost`
   * aborts (another replica may lead), or after the drain timeout. Keys in the queue stay there, and the controller can run again.
   */
  async run(stop: AbortSignal, lost?: AbortSignal): Promise<void> {
    const { workers, drainTimeoutMs = 20_000 } = this.#options;
    const hard = new AbortController();
    const abort = (): void => hard.abort();
    let drain: NodeJS.Timeout | undefined;
    const stopListening = [
      onAbort(lost, abort),
      onAbort(stop, () => {
        drain = setTimeout(abort, drainTimeoutMs);
      }),
    ];
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#work(stop, hard.signal)));
    } finally {
      clearTimeout(drain);
      for (const end of stopListening) end();
    }
  }

  async #work(stop: AbortSignal, hard: AbortSignal): Promise<void> {
    const { queue } = this.#options;
    for (let key = await queue.get(stop); key !== undefined; key = await queue.get(stop)) {
      this.#activeWorkers += 1;
      try {
        await this.#reconcile(key, hard);
      } finally {
        this.#activeWorkers -= 1;
        queue.done(key);
      }
      await this.#timeSlice.yield();
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const { queue, reconcile, onResult } = this.#options;
    const started = performance.now();
    let record: Omit<ReconcileRecord, 'key' | 'seconds'>;
    try {
      const result = await reconcile(key, { signal });
      queue.forget(key);
      if (result) queue.addAt(key, result.requeueAt);
      record = { outcome: result ? 'requeued' : 'success' };
    } catch (error) {
      record = { outcome: this.#failed(key, error, signal), error };
    }
    onResult?.({ key, seconds: (performance.now() - started) / 1000, ...record });
  }

  #failed(key: string, error: unknown, signal: AbortSignal): 'error' | 'terminal' | 'interrupted' {
    const { name, queue, log } = this.#options;
    if (signal.aborted && isKubeError(error, 'Aborted')) {
      queue.add(key);
      log.info('a reconcile was interrupted', { controller: name, key });
      return 'interrupted';
    }
    if (error instanceof TerminalError) {
      queue.forget(key);
      log.error('a reconcile failed; the controller retries it only after an event', { controller: name, key, error });
      return 'terminal';
    }
    const retryMs = Math.round(queue.addRateLimited(key));
    log.warn('a reconcile failed; the controller retries it', { controller: name, key, error, retryMs });
    return 'error';
  }
}
