import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { guardProcess } from './guard.ts';
import { pollUntil } from './poll.ts';
import { endProcesses, identify, isRunning, type ProcessIdentity } from './processes.ts';

/** How long a program may take to become ready or to stop, on the slowest machine worth waiting for. */
const START_MS = 180_000;
const STOP_MS = 20_000;

/** A running program of the control plane. */
export interface Component extends ProcessIdentity {
  readonly name: string;
  /** The file with all it has printed. */
  readonly log: string;
}

/** A program ended before it was ready. */
export class ComponentError extends Error {
  override readonly name = 'ComponentError';
  /** Whether it ended because someone else listens on its port. */
  readonly portTaken: boolean;

  constructor(component: Component, what: string) {
    const tail = readFileSync(component.log, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
    super(`${component.name} ${what}; the end of ${component.log}:\n${tail}`);
    this.portTaken = tail.includes('address already in use');
  }
}

/**
 * Starts a program in the background, in a process group of its own and with its output in `dir`. A guarded one ends at
 * the latest with this process.
 */
export function startComponent(program: string, args: readonly string[], dir: string, guarded: boolean): Component {
  const name = program.slice(program.lastIndexOf('/') + 1);
  const log = join(dir, `${name}.log`);
  const file = openSync(log, 'w', 0o600);
  try {
    const child = spawn(program, args, { cwd: dir, detached: true, stdio: ['ignore', file, file] });
    child.on('error', () => {});
    if (guarded) guardProcess(child);
    child.unref();
    // One that has ended already gets an identity that nothing running has.
    const { pid = 0 } = child;
    return { name, log, ...(identify(pid) ?? { pid, startedAt: '' }) };
  } finally {
    closeSync(file);
  }
}

/** Waits until the program says that it is ready. Throws a ComponentError when it ends before or takes minutes. */
export async function waitUntilReady(component: Component, isReady: () => Promise<boolean>): Promise<void> {
  let ended = false;
  const ready = await pollUntil(async () => {
    // Asked first: what answers after our program has ended is someone else's.
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
