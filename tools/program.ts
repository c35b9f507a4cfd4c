import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { guardProcess } from './controlplane/guard.ts';

/** The fields of one line of JSON that a program prints. */
export type LogLine = Readonly<Record<string, unknown>>;

/** The exit code or signal of a process. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program of this project that prints JSON lines. */
export interface Program {
  readonly pid: number;
  /** All lines so far, parsed. A line that is not JSON becomes `{ message: line }`. */
  readonly lines: readonly LogLine[];
  readonly hasEnded: boolean;
  readonly exited: Promise<Exit>;
  /** Sends SIGTERM, unless the program has ended, and waits for its end. */
  readonly stop: () => Promise<Exit>;
  /** Sends SIGKILL, unless the program has ended, and waits for its end. */
  readonly kill: () => Promise<Exit>;
  /** The last lines of the output, for error messages. */
  readonly tail: (lines?: number) => string;
}

/** Starts a TypeScript or JavaScript file on the current Node.js. It ends at the latest with this process. */
export function startProgram(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return startCommand(process.execPath, [script, ...args], env);
}

/** Starts another program. It ends at the latest with this process. */
export function startCommand(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child = spawn(command, args, {
    // In its own process group: only this process gets Ctrl-C, and it stops its programs in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  guardProcess(child);

  const lines: LogLine[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => lines.push(parseLine(line)));
  }
  let hasEnded = false;
  const exited = new Promise<Exit>((resolve) => {
    // "close" is emitted after the last line of output.
    child.on('close', (code, signal) => {
      hasEnded = true;
      resolve({ code, signal });
    });
  });
  const end = (signal: NodeJS.Signals): Promise<Exit> => {
    if (!hasEnded) child.kill(signal);
    return exited;
  };

  return {
    pid: child.pid ?? 0,
    lines,
    get hasEnded() {
      return hasEnded;
    },
    exited,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    tail: (count = 30) =>
      lines
        .slice(-count)
        .map((line) => JSON.stringify(line))
        .join('\n'),
  };
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { message: line };
  }
}
