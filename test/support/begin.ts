/** Starts a task. The returned function aborts it and resolves when it has ended. */
export function begin(run: (signal: AbortSignal) => Promise<unknown>): () => Promise<void> {
  const stop = new AbortController();
  const running = run(stop.signal);
  return async () => {
    stop.abort();
    await running;
  };
}
