import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { endProcesses, isRunning, type ProcessIdentity } from './processes.ts';

/** The record of the control plane that was last started in a data folder. */
export interface State {
  /** The API server's port. */
  readonly port: number;
  /** How many programs run when all of them do. */
  readonly programs: number;
  /** In the order of their start. */
  readonly processes: readonly (ProcessIdentity & { readonly name: string })[];
}

const path = (dir: string): string => join(dir, 'state.json');

/** The state of a data folder; undefined when no control plane was ever started in it. */
export function readState(dir: string): State | undefined {
  return existsSync(path(dir)) ? (JSON.parse(readFileSync(path(dir), 'utf8')) as State) : undefined;
}

export function writeState(dir: string, state: State): void {
  replaceFile(path(dir), JSON.stringify(state));
}

/** Replaces a file atomically: a crash leaves the old or the new content. */
export function replaceFile(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

/** Whether all programs of the control plane are running. */
export function isUp(state: State | undefined): state is State {
  return state !== undefined && state.processes.length === state.programs && state.processes.every(isRunning);
}

/** Ends the programs that were last started in this folder and are still running. etcd ends last, because the API server needs it. */
export async function endRecorded(dir: string): Promise<void> {
  const state = readState(dir);
  if (state === undefined) return;
  const isEtcd = ({ name }: { name: string }): boolean => name === 'etcd';
  await endProcesses(
    state.processes.filter((process) => !isEtcd(process)),
    20_000,
  );
  await endProcesses(state.processes.filter(isEtcd), 20_000);
  writeState(dir, { ...state, processes: [] });
}
