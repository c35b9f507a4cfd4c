/** Runs something until the returned function is called, which resolves when the run has ended. */
export function begin(run: (signal: AbortSignal) => Promise<unknown>): () => Promise<void> {
  const stop = new AbortController();
  const running = run(stop.signal);
  return async () => {
    stop.abort();
    await running;
  };
}
