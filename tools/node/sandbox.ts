import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type CommandOptions, type CommandResult, output } from '../controlplane/command.ts';
import { type Component, startComponent, waitUntilReady } from '../controlplane/component.ts';
import { guardProcessId } from '../controlplane/guard.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { identify, isRunning, type ProcessIdentity, signalProcess } from '../controlplane/processes.ts';

const INIT = fileURLToPath(new URL('init.sh', import.meta.url));

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

/** Starts a sandbox with its files in `folder`. A guarded sandbox ends at the latest with this process. */
export async function startSandbox(folder: string, guarded: boolean): Promise<Sandbox> {
  mkdirSync(join(folder, 'kubelet'), { recursive: true });
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const init = ['sh', INIT, folder, `${NODE_IP}/16`, SERVICE_SUBNET];
  const unshare = startComponent('unshare', [...namespaces, ...init], folder, guarded, 'sandbox');
  await waitUntilReady(unshare, async () => existsSync(join(folder, 'ready')));
  const [pid] = childrenOf(unshare.pid);
  const identity = pid === undefined ? undefined : identify(pid);
  if (identity === undefined) throw new Error('the sandbox has ended');
  // unshare ends before its child, so the guard has to wait for both.
  if (guarded) guardProcessId(identity.pid);
  return sandboxOf(identity, folder);
}

/** The sandbox with this process 1. */
export function sandboxOf(init: ProcessIdentity, folder: string): Sandbox {
  const enter = (command: string, args: readonly string[]): string[] => [
    `--target=${init.pid}`,
    '--mount',
    '--pid',
    '--net',
    '--uts',
    '--ipc',
    '--wd=/',
    '--',
    command,
    ...args,
  ];
  return {
    init,
    run: (command, args, options) => output('nsenter', enter(command, args), options),
    start(name, program, args) {
      const component = startComponent('nsenter', enter(program, args), folder, false, name);
      return insideProgram(component);
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
      const children = childrenOf(component.pid).flatMap((pid) => identify(pid) ?? []);
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

/** The pids of a process's children. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
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
