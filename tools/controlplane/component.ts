import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import type { Guard } from './guard.ts';
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

export interface ComponentOptions {
  /** The folder of the program and of its output. */
  readonly dir: string;
  /** By default the program's file name. */
  readonly name?: string;
  /** Ends the program at the latest with this process, unless it is released; by default, nothing does. */
  readonly guard?: Guard | undefined;
  /** Called before the program runs. If this process ends earlier, the program never runs. */
  readonly record?: (component: Component) => void;
}

/** Becomes the program when it receives a line. If its standard input ends first, the starter has ended: it ends, too. */
const WAIT = 'read -r line && exec "$@" </dev/null';

/** Starts a program in the background, in its own process group. */
export function startComponent(
  program: string,
  args: readonly string[],
  { dir, name = basename(program), guard, record = () => {} }: ComponentOptions,
): Component {
  const log = join(dir, `${name}.log`);
  const file = openSync(log, 'w', 0o600);
  try {
    const child = spawn('sh', ['-c', WAIT, 'sh', program, ...args], {
      cwd: dir,
      detached: true,
      stdio: ['pipe', file, file],
    });
    child.on('error', () => {});
    child.stdin?.on('error', () => {});
    child.unref();
    guard?.process(child);
    // If the shell has already ended, it gets an identity that no running process has.
    const { pid = 0 } = child;
    const component = { name, log, ...(identify(pid) ?? { pid, startedAt: '' }) };
    record(component);
    child.stdin?.end('\n');
    return component;
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
