import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A mounted cgroup hierarchy. */
interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  /** The controllers that child groups can use. */
  readonly controllers: readonly string[];
}

/** kubelet limits pods with these. */
const NEEDED = ['cpu', 'cpuset', 'memory', 'pids'];

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
  const missing = NEEDED.filter((controller) => !usable.has(controller));
  if (missing.length > 0) return `new cgroups of this machine lack the controllers ${missing.join(', ')}`;
  const probe = `mtls-node-probe-${process.pid}`;
  try {
    createCgroup(probe);
    return undefined;
  } catch (error) {
    return `this machine refuses new cgroups: ${(error as Error).message}`;
  } finally {
    for (const folder of cgroupFolders(probe)) removeTree(folder);
  }
}

/**
 * Creates a cgroup with this name at the top of every hierarchy, as kubelet's cgroupRoot. With version 1 a new group of cpuset
 * is empty until it gets processors and memory nodes.
 */
export function createCgroup(name: string): void {
  for (const { path, version, controllers } of hierarchies()) {
    const group = join(path, name);
    mkdirSync(group, { recursive: true });
    // One group counts as one process when processors are scarce. With its pods, it shall count as many.
    for (const [file, weight] of WEIGHTS) if (existsSync(join(group, file))) writeFileSync(join(group, file), weight);
    if (version === 2) {
      // Only a group without processes may hand its controllers on, and this one has none.
      for (const controller of controllers) writeFileSync(join(group, 'cgroup.subtree_control'), `+${controller}`);
    } else if (controllers.includes('cpuset')) {
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        writeFileSync(join(group, file), readFileSync(join(path, file), 'utf8'));
    }
  }
}

/** The folders of a cgroup, one in each hierarchy. */
export const cgroupFolders = (name: string): string[] => hierarchies().map(({ path }) => join(path, name));

/** Removes cgroups and the groups in them. Their processes have ended, but the kernel may still count them for a moment. */
export async function removeCgroups(folders: readonly string[], timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (const folder of folders) {
    for (;;) {
      try {
        removeTree(folder);
        break;
      } catch (error) {
        if (performance.now() >= deadline) throw error;
        await delay(20);
      }
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
