import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { cgroupProblem } from './cgroups.ts';

/** The programs of a node that are not built from this repository, with their Debian packages. */
const PROGRAMS = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  ip: 'iproute2',
  containerd: 'containerd',
  ctr: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  runc: 'runc',
  busybox: 'busybox-static',
} as const;

const PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

/** The folder of the CNI plugins; undefined if they are not installed. */
export const pluginFolder = (): string | undefined =>
  PLUGIN_FOLDERS.find((folder) => ['bridge', 'host-local', 'loopback'].every((name) => existsSync(join(folder, name))));

/** Why this machine cannot run a node, in one line; undefined if it can. */
export function nodeUnavailable(): string | undefined {
  if (process.platform !== 'linux') return 'a node needs Linux';
  if (process.getuid?.() !== 0) return 'a node needs root';
  const missing = Object.entries(PROGRAMS).filter(([program]) => programPath(program) === undefined);
  const packages = new Set(missing.map(([, name]) => name as string));
  if (pluginFolder() === undefined) packages.add('containernetworking-plugins');
  if (packages.size > 0) return `a node needs the Debian packages ${[...packages].join(', ')}`;
  return cgroupProblem() ?? namespaceProblem();
}

/** The path of a program on PATH. Debian keeps some where only root's PATH looks. */
export function programPath(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, program)).find((path) => path.startsWith('/') && isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function namespaceProblem(): string | undefined {
  const bridge = 'mount -t tmpfs node /run && ip link add cni0 type bridge';
  const flags = ['--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--mount-proc', 'sh', '-c', bridge];
  const { status, stderr } = spawnSync('unshare', flags, { encoding: 'utf8' });
  return status === 0 ? undefined : `this machine refuses the namespaces of a node: ${stderr.trim().split('\n')[0]}`;
}
