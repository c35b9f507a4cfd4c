import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** How long to retry; 30 s by default. It is long on purpose: only a failing test waits that long. */
  readonly timeoutMs?: number;
  /** The start of the error message: what was expected. */
  readonly message?: string;
}

/**
 * Retries `attempt` until it does not throw, and returns its result. Throws with the last error as cause after the
 * time-out.
 */
export async function eventually<T>(attempt: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { timeoutMs = 30_000, message = 'the expected state was not reached' } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() >= deadline) {
        const last = error instanceof Error ? error.message : String(error);
        throw new Error(`${message} (within ${timeoutMs / 1000} s): ${last}`, { cause: error });
      }
    }
    await delay(50);
  }
}
