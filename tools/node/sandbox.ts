import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type CommandOptions, type CommandResult, output } from '../controlplane/command.ts';
import { type Component, startComponent, waitUntilReady } from '../controlplane/component.ts';
import type { Guard } from '../controlplane/guard.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { identify, isRunning, type ProcessIdentity, signalProcess } from '../controlplane/processes.ts';
import { programsFile } from './cgroups.ts';

const INIT = fileURLToPath(new URL('init.sh', import.meta.url));
const CGROUP_NAMESPACE = fileURLToPath(new URL('cgroup-namespace.sh', import.meta.url));

/** The node's own address: that of its bridge, which pods use as their gateway. */
export const NODE_IP = '10.88.0.1';
/** The addresses of pods with a network of their own. */
export const POD_SUBNET = '10.88.0.0/16';
/** The address of the Service `kubernetes`, the first of the control plane's range. */
export const API_SERVICE_IP = '10.96.0.1';
/** Where pods ask for the names of Services. */
export const DNS_IP = '10.96.0.10';
export const CLUSTER_DOMAIN = 'cluster.local';
/** The addresses of Services. */
export const SERVICE_SUBNET = '10.96.0.0/16';

/** Mount, process, network, host name and IPC namespaces. They and all they contain disappear with their process 1. */
export interface Sandbox {
  /** Process 1, seen from outside. */
  readonly init: ProcessIdentity;
  /** Runs a command inside to its end. */
  readonly run: (command: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;
  /** Starts a program inside, in the background. It ends at the latest with the sandbox. */
  start(name: string, program: string, args: readonly string[]): InsideProgram;
}

/** A program in a sandbox. */
export interface InsideProgram {
  readonly name: string;
  /** The file with the program's output. */
  readonly log: string;
  /** Throws a ComponentError when the program ends before it is ready, or takes too long. */
  waitUntilReady(isReady: () => Promise<boolean>): Promise<void>;
  /** Sends SIGTERM, or SIGKILL after a while, and waits for the end. */
  stop(): Promise<void>;
}

export interface SandboxOptions {
  /** Ends the sandbox at the latest with this process, unless it is released. */
  readonly guard: Guard;
  /** Called with the process that creates the sandbox, before it does, and later with process 1 of the sandbox. */
  readonly record: (process: RecordedProcess) => void;
  /** With version 2 of cgroups, the folder of the node's group, which becomes the root of a cgroup namespace. */
  readonly group: string | undefined;
}

/** A process in the record of a node. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
}

/** The name of the sandbox's process 1 in a record. */
export const INIT_NAME = 'init';

/** Starts a sandbox with its files in `folder`. */
export async function startSandbox(folder: string, { guard, record, group }: SandboxOptions): Promise<Sandbox> {
  mkdirSync(join(folder, 'kubelet'), { recursive: true });
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const init = ['sh', INIT, folder, `${NODE_IP}/16`, SERVICE_SUBNET];
  const create = ['unshare', ...namespaces, ...init];
  const [program = '', ...args] = group === undefined ? create : ['sh', CGROUP_NAMESPACE, group, ...create];
  const unshare = startComponent(program, args, { dir: folder, guard, record, name: 'sandbox' });
  await waitUntilReady(unshare, async () => existsSync(join(folder, 'ready')));
  const [identity] = childrenOf(unshare);
  if (identity === undefined) throw new Error('the sandbox has ended');
  // unshare ends before its child, so the end of both matters.
  guard.processId(identity.pid);
  record({ name: INIT_NAME, ...identity });
  return sandboxOf(identity, folder, group);
}

/** The sandbox with this process 1, this folder, and with version 2 of cgroups, this group. */
export function sandboxOf(init: ProcessIdentity, folder: string, group?: string): Sandbox {
  const enter = (command: string, args: readonly string[]): string[] => [
    `--target=${init.pid}`,
    '--mount',
    '--pid',
    '--net',
    '--uts',
    '--ipc',
    '--cgroup',
    '--wd=/',
    '--',
    command,
    ...args,
  ];
  return {
    init,
    run: (command, args, options) => output('nsenter', enter(command, args), options),
    start(name, program, args) {
      const options = { dir: folder, name };
      const entered = enter(program, args);
      if (group === undefined) return insideProgram(startComponent('nsenter', entered, options));
      // A process outside the cgroup namespace cannot move its children to a group inside.
      const join = 'echo 0 >"$0" && exec nsenter "$@"';
      return insideProgram(startComponent('sh', ['-c', join, programsFile(group), ...entered], options));
    },
  };
}

function insideProgram(component: Component): InsideProgram {
  return {
    name: component.name,
    log: component.log,
    waitUntilReady: (isReady) => waitUntilReady(component, isReady),
    async stop() {
      // nsenter waits for its child, which is the program, and does not pass signals on.
      const children = childrenOf(component);
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        for (const child of children) signalProcess(child, signal);
        if (await pollUntil(() => !isRunning(component), 20_000)) return;
      }
      throw new Error(`could not end ${component.name}`);
    },
  };
}

/** Ends a sandbox and waits until nothing of it runs. */
export async function endSandbox(init: ProcessIdentity): Promise<void> {
  signalProcess(init, 'SIGKILL');
  // The kernel removes process 1 after all other processes of the namespace.
  if (!(await pollUntil(() => !isRunning(init), 30_000, 10))) throw new Error('could not end the sandbox of the node');
}

/** The children of a process. */
export function childrenOf(parent: ProcessIdentity): ProcessIdentity[] {
  if (!isRunning(parent)) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent.pid)
    .flatMap((pid) => identify(pid) ?? []);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The process's name is in parentheses, and may contain spaces. The parent is the second field after it.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
