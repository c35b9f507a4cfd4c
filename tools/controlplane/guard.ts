import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

import { identify, type ProcessIdentity } from './processes.ts';

/** A message to the guard, one JSON document per line. */
export type GuardMessage =
  | { kill: ProcessIdentity; group: boolean }
  | { remove: string }
  | { cgroups: readonly string[] }
  | { release: true };

/**
 * Ends processes and removes cgroups and folders at the latest when this process ends, even by SIGKILL. A separate process does it
 * when its standard input ends.
 */
export class Guard {
  #pipe: Socket | undefined;
  #isReleased = false;

  /**
   * For programs that are useless without this process: kills the child with SIGKILL, and with `group` also the process group that
   * the child leads. Throws if the child was not started.
   */
  process(child: ChildProcess, { group = false } = {}): void {
    if (child.pid === undefined) throw new Error(`${child.spawnfile} could not be started`);
    this.processId(child.pid, { group });
  }

  /** As `process`, for a process that is not a child of this process. */
  processId(pid: number, { group = false } = {}): void {
    const identity = identify(pid);
    // A process that has already ended needs no guard.
    if (identity !== undefined) this.#tell({ kill: identity, group });
  }

  /** Removes the folder after the processes have ended. */
  folder(path: string): void {
    this.#tell({ remove: path });
  }

  /** Removes the cgroups after the processes have ended. */
  cgroups(folders: readonly string[]): void {
    this.#tell({ cgroups: folders });
  }

  /** Leaves everything as it is, now and later. */
  release(): void {
    this.#isReleased = true;
    this.#pipe?.end(`${JSON.stringify({ release: true } satisfies GuardMessage)}\n`);
  }

  #tell(message: GuardMessage): void {
    if (this.#isReleased) return;
    this.#pipe ??= startGuardian();
    this.#pipe.write(`${JSON.stringify(message)}\n`);
  }
}

/** The guard that is never released. */
export const lifelongGuard = new Guard();

/** Ensures that the child ends at the latest when this process ends. Throws if the child was not started. */
export function guardProcess(child: ChildProcess, options?: { group?: boolean }): void {
  lifelongGuard.process(child, options);
}

/** As guardProcess, for a process that is not a child of this process. */
export function guardProcessId(pid: number, options?: { group?: boolean }): void {
  lifelongGuard.processId(pid, options);
}

/** Ensures that the folder is removed at the latest when this process ends. */
export function guardFolder(path: string): void {
  lifelongGuard.folder(path);
}

function startGuardian(): Socket {
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
