import { onAbort } from './abort.ts';

/** Exponential delays: `baseMs`, doubled with every attempt, at most `maxMs`. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The delay before attempt `attempt` (0 is the first repeat), in milliseconds. Jittered down by up to a half, so that
 * what failed together does not come back together.
 */
export function backoffMs(attempt: number, backoff: Backoff, random: () => number = Math.random): number {
  // 2 ** 30 times any base is beyond every sensible maximum; the bound keeps the product finite.
  const delay = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return delay * (1 - random() / 2);
}

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects: ask the signal which it was. */
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
