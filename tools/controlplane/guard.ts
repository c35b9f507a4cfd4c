import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

import { identify, type ProcessIdentity } from './processes.ts';

/** What a guard is told, one JSON document a line. */
export type GuardMessage = { kill: ProcessIdentity; group: boolean } | { remove: string };

let guard: Socket | undefined;

/**
 * Promises that the child ends at the latest with this process, however this one ends, SIGKILL included. For what is of
 * no use to anyone without this process: it is ended by SIGKILL, and with `group` all of the process group that it leads.
 * Throws if the child could not be started.
 */
export function guardProcess(child: ChildProcess, { group = false } = {}): void {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} could not be started`);
  const identity = identify(child.pid);
  // A child that has ended already needs no guard.
  if (identity !== undefined) tell({ kill: identity, group });
}

/** Promises that the folder is removed at the latest when this process ends. */
export function guardFolder(path: string): void {
  tell({ remove: path });
}

function tell(message: GuardMessage): void {
  guard ??= startGuard();
  guard.write(`${JSON.stringify(message)}\n`);
}

/** A process of its own that sees the end of this one by the end of its standard input. */
function startGuard(): Socket {
  const child = spawn(process.execPath, [fileURLToPath(new URL('guardian.ts', import.meta.url))], {
    // In its own process group, so that Ctrl-C or the kill of a whole group passes it by.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pipe = child.stdin as Socket;
  // Whoever ends the guardian has taken over its work.
  pipe.on('error', () => {});
  child.unref();
  pipe.unref();
  return pipe;
}
