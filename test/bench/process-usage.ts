import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** The usage of a process: CPU of all its threads so far, current and peak resident memory. */
export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** The current value on systems that do not report the peak. */
  readonly peakBytes: number;
}

/** Linux reports hundredths of a second for every kernel tick (USER_HZ, proc_pid_stat(5)). */
const ticksPerSecond = 100;

/** Reads the usage from the system, so that all programs are measured in the same way. */
export function usageOf(pid: number): ProcessUsage {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
}

function fromProc(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses. The name may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[14 - 3]), Number(fields[15 - 3])];
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return {
    cpuSeconds: (user + system) / ticksPerSecond,
    residentBytes: bytes('VmRSS'),
    peakBytes: bytes('VmHWM'),
  };
}

function fromPs(pid: number): ProcessUsage {
  const line = execFileSync('ps', ['-o', 'rss=,time=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const [rss, time = ''] = line.split(/\s+/);
  const cpuSeconds = time.split(/[:-]/).reduce((total, part) => total * 60 + Number(part), 0);
  const residentBytes = Number(rss) * 1024;
  return { cpuSeconds, residentBytes, peakBytes: residentBytes };
}

/** The usage of all cores together so far, in milliseconds. */
export interface MachineUsage {
  readonly busyMs: number;
  readonly allMs: number;
}

export function machineUsage(): MachineUsage {
  const all = cpus().map(({ times }) => times);
  const idleMs = all.reduce((sum, { idle }) => sum + idle, 0);
  const busyMs = all.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0);
  return { busyMs, allMs: busyMs + idleMs };
}
