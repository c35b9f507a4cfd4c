import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CommandOptions, CommandResult } from '../controlplane/command.ts';
import { type ImageSpec, writeImage } from './image.ts';
import { type InsideProgram, NODE_IP, POD_SUBNET, type Sandbox } from './sandbox.ts';

/** In the sandbox, whose /run is its own. */
const SOCKET = '/run/containerd/containerd.sock';
export const RUNTIME_ENDPOINT = `unix://${SOCKET}`;

/** A running containerd. */
export interface Containerd {
  /** Makes the image available to pods. */
  load(image: ImageSpec): Promise<void>;
  /** Makes the images of an archive available (OCI image layout, or that of Docker). */
  importArchive(file: string): Promise<void>;
}

/** Starts containerd, with its files in `folder`. Pods get a network by the CNI plugins in `plugins`. */
export async function startContainerd(sandbox: Sandbox, folder: string, plugins: string): Promise<Containerd> {
  const config = join(folder, 'containerd.toml');
  const network = join(folder, 'cni');
  mkdirSync(network, { recursive: true });
  writeFileSync(join(network, '10-bridge.conflist'), JSON.stringify(NETWORK));
  writeFileSync(config, configuration({ folder, plugins, network }));

  const program: InsideProgram = sandbox.start('containerd', 'containerd', ['--config', config]);
  await program.waitUntilReady(async () => (await ctr(sandbox, ['version'])).code === 0);

  return {
    async importArchive(file) {
      await importArchive(sandbox, file);
    },
    async load(image) {
      const archive = join(folder, 'images', `${image.name.replaceAll(/[^a-z0-9.]+/gi, '-')}.tar`);
      await writeImage(archive, image);
      await importArchive(sandbox, archive);
      rmSync(archive);
    },
  };
}

/**
 * Makes the images of an archive available to pods of the containerd in this sandbox. Returns what containerd prints about them.
 * Throws if the file cannot be read, or containerd refuses it.
 */
export async function importArchive(sandbox: Sandbox, file: string): Promise<string> {
  // Opened here, because the node does not see all folders of this machine.
  const archive = openSync(file, 'r');
  try {
    const { code, stdout, stderr } = await ctr(sandbox, ['images', 'import', '-'], { input: archive });
    if (code !== 0) throw new Error(`containerd cannot import ${file}: ${stderr.trim()}`);
    return stdout.trim();
  } finally {
    closeSync(archive);
  }
}

const ctr = (sandbox: Sandbox, args: readonly string[], options?: CommandOptions): Promise<CommandResult> =>
  sandbox.run('ctr', ['--address', SOCKET, '--namespace', 'k8s.io', ...args], options);

/** Pods reach each other by their addresses. The node is their gateway to the API server. */
const NETWORK = {
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: false,
      ipMasq: false,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: POD_SUBNET, rangeStart: '10.88.0.10', gateway: NODE_IP }]],
        routes: [{ dst: '0.0.0.0/0', gw: NODE_IP }],
      },
    },
  ],
};

interface Settings {
  readonly folder: string;
  readonly plugins: string;
  readonly network: string;
}

/** Version 2 of the format, which containerd 1.4 to 2 read. */
function configuration({ folder, plugins, network }: Settings): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const text = JSON.stringify;
  return `version = 2
# In memory: it needs no cleanup, and an overlay on top of it works everywhere.
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
address = "${SOCKET}"
# It would create /opt/containerd.
[plugins."io.containerd.internal.v1.opt"]
path = ${text(join(folder, 'opt'))}
[${cri}]
sandbox_image = "localhost/pause:1"
# Without CAP_SYS_RESOURCE, a lower score than its own is refused, and no pod starts.
restrict_oom_score_adj = true
disable_hugetlb_controller = true
[${cri}.cni]
bin_dir = ${text(plugins)}
conf_dir = ${text(network)}
[${cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
`;
}
