/**
 * Calls `callback` when `signal` aborts, or at once if it has aborted already: the `abort` event fires only once, so a listener
 * that is added later would wait forever. A lint rule forbids any other listener on a signal in src.
 *
 * Returns a function that stops listening. Without a signal the callback is never called.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal?.aborted) {
    callback();
    return () => {};
  }
  const listener = (): void => callback();
  signal?.addEventListener('abort', listener, { once: true });
  return () => signal?.removeEventListener('abort', listener);
}

/** Resolves when `signal` aborts, or at once if it has aborted already. */
export const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => onAbort(signal, resolve));
