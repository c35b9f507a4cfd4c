import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { guardProcess } from './guard.ts';
import { pollUntil } from './poll.ts';
import { endProcesses, identify, isRunning, type ProcessIdentity } from './processes.ts';

/** The limits for a program to become ready and to stop, generous for slow machines. */
const START_MS = 180_000;
const STOP_MS = 20_000;

/** A running program of the control plane. */
export interface Component extends ProcessIdentity {
  readonly name: string;
  /** The file with the program's output. */
  readonly log: string;
}

/** A program ended before it was ready, or took too long. */
export class ComponentError extends Error {
  override readonly name = 'ComponentError';
  /** True when the program ended because its port was in use. */
  readonly portTaken: boolean;

  constructor(component: Component, what: string) {
    const tail = readFileSync(component.log, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
    super(`${component.name} ${what}; the last lines of ${component.log}:\n${tail}`);
    this.portTaken = tail.includes('address already in use');
  }
}

/**
 * Starts a program in the background, in its own process group, with its output in `dir`. A guarded program ends at the
 * latest with this process.
 */
export function startComponent(
  program: string,
  args: readonly string[],
  dir: string,
  guarded: boolean,
  name: string = program.slice(program.lastIndexOf('/') + 1),
): Component {
  const log = join(dir, `${name}.log`);
  const file = openSync(log, 'w', 0o600);
  try {
    const child = spawn(program, args, { cwd: dir, detached: true, stdio: ['ignore', file, file] });
    child.on('error', () => {});
    if (guarded) guardProcess(child);
    child.unref();
    // If the program has already ended, it gets an identity that no running process has.
    const { pid = 0 } = child;
    return { name, log, ...(identify(pid) ?? { pid, startedAt: '' }) };
  } finally {
    closeSync(file);
  }
}

/** Waits until the program is ready. Throws a ComponentError when it ends before that or takes longer than START_MS. */
export async function waitUntilReady(component: Component, isReady: () => Promise<boolean>): Promise<void> {
  let ended = false;
  const ready = await pollUntil(async () => {
    // Asks before it checks the process: an answer after the program has ended comes from another program.
    const answer = await isReady().catch(() => false);
    ended = !isRunning(component);
    return ended || answer;
  }, START_MS);
  if (ended) throw new ComponentError(component, 'ended');
  if (!ready) throw new ComponentError(component, `is not ready after ${START_MS / 1000} s`);
}

/** Stops programs, all at the same time. */
export async function stopComponents(components: readonly Component[]): Promise<void> {
  await endProcesses(components, STOP_MS);
}
