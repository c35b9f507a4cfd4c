import { isKubeError } from '../api/kube-error.ts';
import type { Log } from '../api/log.ts';
import { onAbort } from '../async/abort.ts';
import type { WorkQueue } from '../workqueue/work-queue.ts';
import { TimeSlice } from './time-slice.ts';

/** When to look again without being asked; nothing: when something changes. */
export type Result = void | { readonly requeueAt: Date };

/** A failure that trying again cannot mend: the key waits until something changes. */
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
  /** Brings one object to its wanted state, whatever has happened to it. `signal` aborts when it must stop at once. */
  readonly reconcile: (key: string, context: { readonly signal: AbortSignal }) => Promise<Result>;
  readonly log: Log;
  readonly onResult?: ((record: ReconcileRecord) => void) | undefined;
  /** How long a reconcile may go on after a stop, in milliseconds. Default 20 s: within a pod's 30 s of grace. */
  readonly drainTimeoutMs?: number | undefined;
}

/** Takes keys from a queue and reconciles them, several at a time. All errors end here, under one policy. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #timeSlice = new TimeSlice();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /**
   * Works until `stop` aborts, and resolves when the reconciles under way have ended. They are aborted when `lost` does
   * (the right to write is gone), or after the drain time-out. What is left in the queue stays there; the controller
   * can be run again.
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
      try {
        await this.#reconcile(key, hard);
      } finally {
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
      log.error('a reconcile failed for good', { controller: name, key, error });
      return 'terminal';
    }
    const retryMs = Math.round(queue.addRateLimited(key));
    log.warn('a reconcile failed', { controller: name, key, error, retryMs });
    return 'error';
  }
}
