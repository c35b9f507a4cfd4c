import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { guardProcess } from './controlplane/guard.ts';

/** One line of a program's output. */
export type LogLine = Readonly<Record<string, unknown>>;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program of this project that prints JSON lines. */
export interface Program {
  readonly pid: number;
  /** All lines so far, parsed; a line that is no JSON is `{ message: line }`. */
  readonly lines: readonly LogLine[];
  readonly hasEnded: boolean;
  readonly exited: Promise<Exit>;
  /** SIGTERM, and waits for the end. Does nothing if it has ended already. */
  readonly stop: () => Promise<Exit>;
  /** SIGKILL, and waits for the end. */
  readonly kill: () => Promise<Exit>;
  /** The end of the output as text, to be shown when something fails. */
  readonly tail: (lines?: number) => string;
}

/** Starts a TypeScript or JavaScript file on the Node.js that runs this. It ends at the latest with this process. */
export function startProgram(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child = spawn(process.execPath, [script, ...args], {
    // In a process group of its own: Ctrl-C is for this process, which then stops the program in its own order.
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
    // "close" comes after the last line.
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
