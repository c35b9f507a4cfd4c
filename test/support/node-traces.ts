import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

/** kubelet writes these settings of the whole machine, or a CNI plugin or runc could. */
const SETTINGS = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/hostname',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/forwarding',
];

/** Folders that the programs of a node have outside the node's own folder. */
const FOLDERS = [
  '/etc/cni/net.d',
  '/opt/cni',
  '/opt/containerd',
  '/run/containerd',
  '/run/containerd-root',
  '/var/lib/cni/networks/pods',
  '/var/lib/containerd',
  '/var/lib/kubelet',
  '/var/log/containers',
  '/var/log/pods',
];

/** The mounts of a node: their sources, or the folders below which they are. */
const MOUNT =
  /mtls-node-|containerd|kubelet|\/clusters\/|\/netns\/cni-| \/(run|proc\/sys\/\S+|sys\/fs\/cgroup\S*|var\/log|var\/lib) | - tmpfs node /;

/** The cgroups that kubelet and containerd make, in a group of the node or, by mistake, elsewhere. */
const CGROUP = /^(kubepods|k8s\.io$|pod[0-9a-f]{8}-)/;

/** The cgroup of a node. */
const NODE_CGROUP = /^mtls-node-/;

/**
 * What a node could change on this machine. Other tests and other programs may mount file systems, add interfaces and create cgroups
 * meanwhile: those of another kind are left out, and what is in the cgroup of another node.
 */
export function machine() {
  return {
    mounts: mountLines().filter((line) => MOUNT.test(line)),
    settings: [
      ...SETTINGS.map((name) => [name, contentOf(`/proc/sys/${name}`)]),
      ...hierarchies().map((path) => [path, contentOf(join(path, 'cgroup.subtree_control'))]),
    ],
    interfaces: readdirSync('/sys/class/net').filter((name) => name.startsWith('cni')),
    folders: FOLDERS.filter((folder) => existsSync(folder)),
    cgroups: cgroups().filter((path) => CGROUP.test(basename(path))),
  };
}

const contentOf = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);

const mountLines = (): string[] => readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n').toSorted();

/** Where the hierarchies of cgroups are mounted. */
function hierarchies(): string[] {
  const lines = mountLines().filter((line) => / - cgroup2? /.test(line));
  return lines.map((line) => line.split(' ')[4] ?? '');
}

/** The folders of all cgroups, without those below the cgroup of a node. */
function cgroups(): string[] {
  return hierarchies().flatMap(below);
}

function below(folder: string): string[] {
  return subfolders(folder).flatMap((name) => {
    const path = join(folder, name);
    return NODE_CGROUP.test(name) ? [path] : [path, ...below(path)];
  });
}

function subfolders(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    // It has been removed meanwhile.
    return [];
  }
}

/** The folders of the cgroup with this name, wherever it is. */
export const cgroupsNamed = (name: string): string[] => cgroups().filter((path) => basename(path) === name);

/** The processes of a PID namespace, by its link in /proc, with their names. */
export const processesIn = (namespace: string): string[] =>
  processesThat((folder) => readlinkSync(`${folder}/ns/pid`) === namespace).map(({ name }) => name);

export interface RunningProcess {
  readonly pid: number;
  readonly name: string;
}

/** The processes that were started with this text in their environment, which children inherit. Containers have another one. */
export const processesWithVariable = (text: string): RunningProcess[] =>
  processesThat((folder) => readFileSync(`${folder}/environ`, 'utf8').split('\0').includes(text));

function processesThat(is: (folder: string) => boolean): RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const folder = `/proc/${pid}`;
        return is(folder) ? [{ pid: Number(pid), name: readFileSync(`${folder}/comm`, 'utf8').trim() }] : [];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}
