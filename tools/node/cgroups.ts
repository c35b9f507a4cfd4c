import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A mounted cgroup hierarchy. */
interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  /** The controllers that child groups can use. */
  readonly controllers: readonly string[];
}

/** kubelet limits pods with these. With version 1 it does not start without cpuset. */
const NEEDED = { 1: ['cpu', 'cpuset', 'memory', 'pids'], 2: ['cpu', 'memory', 'pids'] } as const;

/** Where kubelet and runc expect cgroups. If version 2 is mounted here, they use nothing else. */
const ROOT = '/sys/fs/cgroup';

/** Sixteen times the default, of version 1 and of version 2. */
const WEIGHTS = [
  ['cpu.shares', '16384'],
  ['cpu.weight', '1600'],
] as const;

/** The mounted hierarchies, by mountinfo in proc(5): with version 1 one for each set of controllers. */
function hierarchies(): Hierarchy[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .trimEnd()
    .split('\n')
    .flatMap((line): Hierarchy[] => {
      const [mount = '', filesystem = ''] = line.split(' - ');
      const [, , , , path = ''] = mount.split(' ');
      const [type = '', , options = ''] = filesystem.split(' ');
      if (type === 'cgroup') return [{ path, version: 1, controllers: options.split(',') }];
      if (type !== 'cgroup2') return [];
      return [{ path, version: 2, controllers: words(join(path, 'cgroup.subtree_control')) }];
    });
  // A later mount hides an earlier one at the same path.
  return [...new Map(mounts.map((hierarchy) => [hierarchy.path, hierarchy])).values()];
}

function words(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split(/\s+/).filter(Boolean) : [];
}

/** Why kubelet cannot use the cgroups of this machine; undefined if it can. */
export function cgroupProblem(): string | undefined {
  const usable = new Set(hierarchies().flatMap(({ controllers }) => controllers));
  const missing = NEEDED[isUnified() ? 2 : 1].filter((controller) => !usable.has(controller));
  if (missing.length > 0) return `new cgroups of this machine lack the controllers ${missing.join(', ')}`;
  const readOnly = hierarchies().find(({ path }) => !isWritable(path));
  return readOnly === undefined ? undefined : `this machine refuses new cgroups in ${readOnly.path}`;
}

/** Whether cgroups can be created there. Creating one would leave it behind if this process were killed. */
function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const isUnified = (): boolean => hierarchies().some(({ path, version }) => path === ROOT && version === 2);

/** The folder of a cgroup if this machine uses version 2 only. */
export const unifiedGroup = (name: string): string | undefined => (isUnified() ? join(ROOT, name) : undefined);

/** The file that moves a process to the programs of the node, with version 2. Their group is next to that of the pods. */
export const programsFile = (group: string): string => join(group, 'programs', 'cgroup.procs');

/** kubelet's cgroupRoot: with version 2, as seen in the cgroup namespace of the node. */
export const cgroupRoot = (name: string): string => (isUnified() ? '/pods' : `/${name}`);

/**
 * Creates a cgroup with this name at the top of every hierarchy. With version 1 a new group of cpuset is empty until it gets
 * processors and memory nodes. With version 2, cgroup-namespace.sh hands the controllers on.
 */
export function createCgroup(name: string): void {
  for (const { path, version, controllers } of hierarchies()) {
    const group = join(path, name);
    mkdirSync(group, { recursive: true });
    // One group counts as one process when processors are scarce. With its pods, it shall count as many.
    for (const [file, weight] of WEIGHTS) if (existsSync(join(group, file))) writeFileSync(join(group, file), weight);
    if (version === 1 && controllers.includes('cpuset')) {
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        writeFileSync(join(group, file), readFileSync(join(path, file), 'utf8'));
    }
  }
  const unified = unifiedGroup(name);
  if (unified !== undefined) for (const child of ['programs', 'pods']) mkdirSync(join(unified, child));
}

/** The folders of a cgroup, one in each hierarchy. */
export const cgroupFolders = (name: string): string[] => hierarchies().map(({ path }) => join(path, name));

/**
 * Removes cgroups and the groups in them. Their processes have ended, but the kernel may still count them for a moment. When a
 * folder is still in use after `timeoutMs`, it removes the others and then throws.
 */
export async function removeCgroups(folders: readonly string[], timeoutMs = 60_000): Promise<void> {
  const removals = await Promise.allSettled(folders.map((folder) => removeCgroup(folder, timeoutMs)));
  for (const removal of removals) if (removal.status === 'rejected') throw removal.reason;
}

async function removeCgroup(folder: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      removeTree(folder);
      return;
    } catch (error) {
      if (performance.now() >= deadline) throw error;
      await delay(20);
    }
  }
}

/** The files of a cgroup go with its folder. */
function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  rmdirSync(folder);
}
