const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `work` when a signal asks this process to end, until the result is disposed. `work` cannot wait for anything. After
 * it, the signal ends the process, unless the program has its own listener for the signal.
 */
export function onInterruption(work: () => void): Disposable {
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      remove();
      work();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    return [signal, listener] as const;
  });
  const remove = (): void => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return { [Symbol.dispose]: remove };
}
