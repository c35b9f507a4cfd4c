import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { pollUntil } from './poll.ts';

/** Identifies a process. The system reuses a pid, but not a pid together with its start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The start time in the system's own notation, only for comparison. */
  readonly startedAt: string;
}

/** The identity of the process with this pid; undefined when no process has it, or only a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = process.platform === 'linux' ? readProcStat(pid) : askPs(pid);
  return found === undefined || found.state.startsWith('Z') ? undefined : { pid, startedAt: found.startedAt };
}

/** Whether the process is still running. False when another process now has its pid. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/** Sends a signal if the process is still running; with `group`, to the whole process group that it leads. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals, { group = false } = {}): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(group ? -identity.pid : identity.pid, signal);
  } catch (error) {
    // The process may end after the check.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends the processes with SIGTERM, and after `graceMs` with SIGKILL. Throws if one is still running after that. */
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
    // The second field is the program's name in parentheses. The name may contain spaces and parentheses.
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // starttime is field 22 (proc_pid_stat(5)), in ticks since boot.
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
