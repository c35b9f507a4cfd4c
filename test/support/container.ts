import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { output } from '../../tools/controlplane/command.ts';
import { guardProcessId } from '../../tools/controlplane/guard.ts';
import type { ImageConfig } from '../../tools/image/buildah.ts';
import { type Program, startCommand } from '../../tools/program.ts';
import { eventually } from './eventually.ts';

export interface ContainerOptions {
  /** A new folder for the container. */
  readonly folder: string;
  /** The unpacked image. */
  readonly rootfs: string;
  readonly config: ImageConfig;
  /** Arguments after the entrypoint of the image. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Folders of this machine that the container can read, by their path in the container. */
  readonly mounts: Readonly<Record<string, string>>;
  /** The limit of its memory, page cache included. */
  readonly memoryBytes: number;
}

export interface Container extends Program {
  /** The process of the image, which is process 1 in its container. */
  readonly processId: number;
  /** Sends the stop signal of the image, as kubelet does. */
  readonly signal: () => Promise<void>;
  /** The most memory that was charged to it; undefined if this machine does not count it. */
  readonly peakBytes: () => number | undefined;
}

interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source: string;
  readonly options?: readonly string[];
}

/** The parts of a runtime-spec configuration that `runc spec` leaves to its user. */
interface RuntimeSpec {
  readonly process: object;
  readonly mounts: readonly Mount[];
  readonly linux: { readonly namespaces: ReadonlyArray<{ readonly type: string }>; readonly resources: object };
}

let started = 0;

/**
 * Starts an image as kubelet starts the container of the Deployment: as the user of the image, with a read-only root, no
 * capabilities, no new privileges, the default seccomp profile of containerd, Docker and Podman, and a memory limit. It uses
 * the network of this machine.
 */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const { folder, rootfs, config, args, env, mounts, memoryBytes } = options;
  const id = `mtls-image-${process.pid}-${++started}`;
  const state = ['--root', join(folder, 'runc')];
  mkdirSync(folder, { recursive: true });
  const specified = await output('runc', ['spec', '--bundle', folder]);
  assert.equal(specified.code, 0, specified.stderr);
  const file = join(folder, 'config.json');
  const spec = JSON.parse(readFileSync(file, 'utf8')) as RuntimeSpec;
  const [uid, gid] = config.User.split(':').map(Number);
  const cgroup = `/${id}`;
  const changed = {
    ...spec,
    process: {
      user: { uid, gid },
      args: [...config.Entrypoint, ...args],
      env: [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: config.WorkingDir,
      capabilities: {},
      noNewPrivileges: true,
      terminal: false,
    },
    root: { path: rootfs, readonly: true },
    mounts: [
      ...spec.mounts,
      ...Object.entries(mounts).map(([destination, source]) => ({
        destination,
        source,
        type: 'bind',
        options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec'],
      })),
    ],
    linux: {
      ...spec.linux,
      namespaces: spec.linux.namespaces.filter(({ type }) => type !== 'network'),
      cgroupsPath: cgroup,
      resources: { ...spec.linux.resources, memory: { limit: memoryBytes } },
      seccomp: defaultSeccomp(),
    },
  };
  writeFileSync(file, JSON.stringify(changed));

  const pidFile = join(folder, 'pid');
  const program = startCommand('runc', [...state, 'run', '--bundle', folder, '--pid-file', pidFile, id]);
  const processId = await eventually(
    () => {
      assert.ok(!program.hasEnded, `runc ended:\n${program.tail()}`);
      const pid = Number(readFileSync(pidFile, 'utf8'));
      assert.ok(pid > 0);
      return pid;
    },
    { message: 'the container has no process' },
  );
  // Killing runc does not end its container.
  guardProcessId(processId);
  return {
    ...program,
    get hasEnded() {
      return program.hasEnded;
    },
    processId,
    async signal() {
      const { code, stderr } = await output('runc', [...state, 'kill', id, config.StopSignal]);
      assert.equal(code, 0, stderr);
    },
    peakBytes() {
      for (const path of [
        `/sys/fs/cgroup/memory${cgroup}/memory.max_usage_in_bytes`,
        `/sys/fs/cgroup${cgroup}/memory.peak`,
      ]) {
        try {
          return Number(readFileSync(path, 'utf8'));
        } catch {
          // The other version of cgroups, or a kernel that does not count it.
        }
      }
      return undefined;
    },
  };
}

const seccompProfile = '/usr/share/containers/seccomp.json';

interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly args: readonly object[] | null;
  readonly errnoRet?: number;
  readonly includes: { readonly arches?: readonly string[]; readonly caps?: readonly string[] };
  readonly excludes: { readonly arches?: readonly string[] };
}

interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly syscalls: readonly SeccompRule[];
}

/** The profile of containers-common, which is the one that RuntimeDefault means, for a process without capabilities. */
function defaultSeccomp(): object {
  const { defaultAction, defaultErrnoRet, syscalls } = JSON.parse(
    readFileSync(seccompProfile, 'utf8'),
  ) as SeccompProfile;
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const applies = ({ includes, excludes }: SeccompRule): boolean =>
    includes.caps === undefined &&
    (includes.arches?.includes(architecture) ?? true) &&
    excludes.arches?.includes(architecture) !== true;
  const rules = syscalls.filter(applies);
  return {
    defaultAction,
    defaultErrnoRet,
    syscalls: rules.map(({ names, action, args, errnoRet }) => ({ names, action, args, errnoRet })),
  };
}
