/**
 * Calls `callback` when `signal` aborts, and at once when it has aborted already: an `abort` event comes only once, and a
 * listener that is added later waits for ever. This is the one place in src that listens to a signal; a lint rule says so.
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

/** Resolves when `signal` aborts; at once when it has aborted already. */
export const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => onAbort(signal, resolve));
