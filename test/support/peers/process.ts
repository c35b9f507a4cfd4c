import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

import { guardProcess } from '../../../tools/controlplane/guard.ts';
import { eventually } from '../eventually.ts';

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `command` until it exits. Throws if it cannot be started or takes longer than `timeoutMs`. */
export async function run(
  command: Command,
  {
    input = '',
    cwd,
    env,
    timeoutMs = 60_000,
  }: { input?: string; cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<Finished> {
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, env, stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' });
  // A program that refuses its arguments or its peer may exit before it has read its input.
  child.stdin.on('error', () => undefined).end(input);
  const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
  if (code === null) throw new Error(`${program} was ended by ${signal}, perhaps after ${timeoutMs} ms\n${stderr}`);
  return { code, stdout, stderr };
}

/** Whether `command` can be run and succeeds: the check that a program is installed. */
export function succeeds(command: Command): boolean {
  const [program, ...args] = command;
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

export interface RunningProgram {
  /** The match of the pattern that `startProgram` waited for. */
  readonly announcement: RegExpExecArray;
  /** Everything that it has printed so far. */
  readonly log: () => string;
  /** Sends SIGHUP so that it reads its configuration and files again, and waits until its output matches `done`. */
  readonly reload: (done: RegExp) => Promise<void>;
  /** Stops it and waits for its exit. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a program that runs until it is stopped, at the latest when this process ends. Waits until its output matches
 * `announces`. Throws with its output if it exits before that, or does not match within two minutes. `workers`: the program
 * has child processes that would survive if only the program were killed.
 */
export async function startProgram(
  command: Command,
  announces: RegExp,
  { workers = false, cwd }: { workers?: boolean; cwd?: string } = {},
): Promise<RunningProgram> {
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: workers });
  const exited = exitOf(child);
  // No pid: it could not be started, and this await throws.
  if (child.pid === undefined) await exited;
  guardProcess(child, { group: workers });

  let printed = '';
  let serves = false;
  const announced = Promise.withResolvers<RegExpExecArray>();
  const collect = (chunk: string): void => {
    printed += chunk;
    if (serves) return;
    const match = announces.exec(printed);
    if (match === null) return;
    serves = true;
    announced.resolve(match);
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);

  const stop = async (): Promise<void> => {
    child.kill();
    const lastResort = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(lastResort);
  };

  const reload = async (done: RegExp): Promise<void> => {
    const before = printed.length;
    child.kill('SIGHUP');
    const message = `${program} has not reloaded`;
    await eventually(() => assert.match(printed.slice(before), done), { message, timeoutMs: 120_000 });
  };

  const deadline = setTimeout(() => announced.reject(new Error('printed no announcement within 120 s')), 120_000);
  void exited.then(([code]) => announced.reject(new Error(`ended with code ${code}`)), announced.reject);
  try {
    return { announcement: await announced.promise, log: () => printed, reload, stop };
  } catch (error) {
    await stop();
    throw new Error(`${program} does not serve:\n${printed}`, { cause: error });
  } finally {
    clearTimeout(deadline);
  }
}

async function exitOf(child: ChildProcess): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
  return (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
}
