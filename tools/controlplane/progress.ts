/** Shows the progress of long work. */
export interface Progress {
  /** Sets the current activity. Cheap, so call it often. */
  report(what: string): void;
  stop(): void;
}

/**
 * Shows the latest report and the elapsed time: on a terminal every second on one line, otherwise every 15 seconds to `log`.
 */
export function startProgress(log: (line: string) => void): Progress {
  const started = performance.now();
  const terminal = process.stderr.isTTY;
  let latest = 'starting';
  const show = (): void => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    const elapsed = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    if (terminal) process.stderr.write(`\r\x1b[2K  ${elapsed}  ${latest}`);
    else log(`  ${elapsed}  ${latest}`);
  };
  const timer = setInterval(show, terminal ? 1000 : 15_000);
  return {
    report(what) {
      latest = what;
    },
    stop() {
      clearInterval(timer);
      if (terminal) process.stderr.write('\r\x1b[2K');
    },
  };
}
