import { setTimeout as delay } from 'node:timers/promises';

/** Polls until `predicate` is true. Returns false after `timeoutMs`. Calls it at least once. */
export async function pollUntil(
  predicate: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 50,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await predicate()) return true;
    if (performance.now() >= deadline) return false;
    await delay(everyMs);
  }
}
