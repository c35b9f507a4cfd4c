import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { guardProcess } from './guard.ts';
import { onInterruption } from './interruption.ts';

/** A command of Go failed. `lines` are the last lines of its output. */
export class GoCommandError extends Error {
  override readonly name = 'GoCommandError';
  readonly lines: readonly string[];

  constructor(command: string, lines: readonly string[]) {
    super(`"go ${command}" failed`);
    this.lines = lines;
  }
}

export interface GoCommand {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Called for each line of standard error. */
  readonly onLine: (line: string) => void;
  /** Called when a signal ends the command and this process. It cannot wait for anything. */
  readonly onInterruption: () => void;
}

/**
 * Runs Go and returns its standard output. Go and the compilers that it starts end at the latest with this process, even by
 * SIGKILL. Throws a GoCommandError when Go fails.
 */
export function runGo({ args, cwd, env, onLine, onInterruption: report }: GoCommand): Promise<string> {
  return new Promise((resolve, reject) => {
    // A process group of its own: the signal for the group reaches Go and its compilers, and Ctrl-C reaches only this process.
    const child = spawn('go', args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const { pid } = child;
    if (pid !== undefined) guardProcess(child, { group: true });
    const interruption = onInterruption(() => {
      if (pid !== undefined) endGroup(pid);
      report();
    });
    let stdout = '';
    const lines: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      onLine(line);
    });
    child.on('error', (error) => {
      interruption[Symbol.dispose]();
      reject(error);
    });
    child.on('close', (code) => {
      interruption[Symbol.dispose]();
      if (code === 0) resolve(stdout);
      else reject(new GoCommandError(args[0] ?? '', lines.slice(-15)));
    });
  });
}

/** Go writes an entry of its caches in full before it uses it, so SIGKILL damages none. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Go has already ended.
  }
}
