import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { pollUntil } from './poll.ts';

/** One particular process. A pid alone is used again by the system; together with the start time it is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the system's own notation: to be compared, not read. */
  readonly startedAt: string;
}

/** The identity of the process that has this pid now, or undefined when there is none (a zombie has ended too). */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = process.platform === 'linux' ? readProcStat(pid) : askPs(pid);
  return found === undefined || found.state.startsWith('Z') ? undefined : { pid, startedAt: found.startedAt };
}

/** Whether the process still runs, and is not another one that got its pid. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/** Sends the signal if that process still runs; with `group`, to all of the process group that it leads. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals, { group = false } = {}): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(group ? -identity.pid : identity.pid, signal);
  } catch (error) {
    // It may end between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends the processes: SIGTERM, and SIGKILL for those that still run after `graceMs`. Throws if one survives that. */
export async function endProcesses(identities: readonly ProcessIdentity[], graceMs: number): Promise<void> {
  const allGone = (): boolean => !identities.some(isRunning);
  for (const identity of identities) signalProcess(identity, 'SIGTERM');
  if (await pollUntil(allGone, graceMs)) return;
  for (const identity of identities) signalProcess(identity, 'SIGKILL');
  if (await pollUntil(allGone, 30_000)) return;
  const pids = identities.filter(isRunning).map((identity) => identity.pid);
  throw new Error(`could not end the processes ${pids.join(', ')}`);
}

function readProcStat(pid: number): { state: string; startedAt: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // starttime is field 22 (proc_pid_stat(5)), counted since boot.
    const ticks = rest[22 - 4];
    if (state === undefined || ticks === undefined) return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { state, startedAt: `${boot}/${ticks}` };
  } catch {
    return undefined;
  }
}

function askPs(pid: number): { state: string; startedAt: string } | undefined {
  try {
    const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8', env }).trim();
    const [state, ...startedAt] = line.split(/\s+/);
    return state === undefined || startedAt.length === 0 ? undefined : { state, startedAt: startedAt.join(' ') };
  } catch {
    return undefined;
  }
}
