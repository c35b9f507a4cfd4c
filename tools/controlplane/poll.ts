import { setTimeout as delay } from 'node:timers/promises';

/** Polls until `predicate` holds; false when it does not within `timeoutMs`. It is asked at least once. */
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
