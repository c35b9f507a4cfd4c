import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** How long to go on trying; 30 s by default. Generous on purpose: only a failing test waits that long. */
  readonly timeoutMs?: number;
  /** What was waited for, for the failure's message. */
  readonly message?: string;
}

/** Polls `attempt` until it does not throw and returns its result. Throws with its last error as cause at the deadline. */
export async function eventually<T>(attempt: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { timeoutMs = 30_000, message = 'what was expected did not come about' } = options;
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
