import { onAbort } from './abort.ts';

/** Exponential delays: `baseMs`, doubled with each attempt, at most `maxMs`. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The delay before a retry in milliseconds; `attempt` 0 is the first retry. The delay is shortened at random by up to a half,
 * so that calls that failed together are not retried together.
 */
export function backoffMs(attempt: number, backoff: Backoff, random: () => number = Math.random): number {
  // The bound keeps the product finite. 2 ** 30 times any base exceeds every sensible maximum.
  const delay = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return delay * (1 - random() / 2);
}

/** Resolves after `ms` milliseconds, or when `signal` aborts. Never rejects; `signal.aborted` tells the two cases apart. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      stopListening();
      resolve();
    };
    const timer = setTimeout(finish, ms);
    const stopListening = onAbort(signal, finish);
  });
}
