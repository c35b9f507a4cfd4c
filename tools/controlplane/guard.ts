import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

import { identify, type ProcessIdentity } from './processes.ts';

/** A message to the guard, one JSON document per line. */
export type GuardMessage =
  | { kill: ProcessIdentity; group: boolean }
  | { remove: string }
  | { cgroups: readonly string[] };

let guard: Socket | undefined;

/**
 * Ensures that the child ends at the latest when this process ends, even by SIGKILL. For programs that are useless without
 * this process: the guard kills them with SIGKILL, and with `group` also the process group that the child leads.
 * Throws if the child was not started.
 */
export function guardProcess(child: ChildProcess, { group = false } = {}): void {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} could not be started`);
  guardProcessId(child.pid, { group });
}

/** As guardProcess, for a process that is not a child of this process. */
export function guardProcessId(pid: number, { group = false } = {}): void {
  const identity = identify(pid);
  // A process that has already ended needs no guard.
  if (identity !== undefined) tell({ kill: identity, group });
}

/** Ensures that the folder is removed at the latest when this process ends. */
export function guardFolder(path: string): void {
  tell({ remove: path });
}

/** Ensures that the cgroups are removed at the latest when this process ends, after the processes that end with it. */
export function guardCgroups(folders: readonly string[]): void {
  tell({ cgroups: folders });
}

function tell(message: GuardMessage): void {
  guard ??= startGuard();
  guard.write(`${JSON.stringify(message)}\n`);
}

/** Starts a separate process. Its standard input ends when this process ends. */
function startGuard(): Socket {
  const child = spawn(process.execPath, [fileURLToPath(new URL('guardian.ts', import.meta.url))], {
    // In its own process group, so that Ctrl-C and signals to this group do not reach it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pipe = child.stdin as Socket;
  // If the guardian is killed, cleanup is the task of the program that killed it.
  pipe.on('error', () => {});
  child.unref();
  pipe.unref();
  return pipe;
}
