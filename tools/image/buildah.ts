import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { output } from '../controlplane/command.ts';

export interface ImageBuild {
  readonly tag: string;
  readonly dockerfile: string;
  readonly context: string;
  /** Build arguments. */
  readonly args?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What the container runtime reads of an image. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir: string;
  readonly StopSignal: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly ExposedPorts: Readonly<Record<string, object>>;
}

interface Index {
  readonly manifests: ReadonlyArray<{ readonly digest: string }>;
}

interface Manifest {
  readonly layers: ReadonlyArray<{ readonly size: number }>;
}

/** Images in a folder of their own. Nothing else on the machine changes. */
export interface ImageStore {
  /** Builds an image without a network. Throws with the end of buildah's output. */
  build(build: ImageBuild): Promise<void>;
  config(tag: string): Promise<ImageConfig>;
  /** Unpacks an image into a folder below the store, and returns its path. */
  unpack(tag: string): Promise<string>;
  /** Writes an image as an OCI layout with compressed layers. Returns the bytes of the layers. */
  export(tag: string, folder: string): Promise<number>;
  /** Writes an image as an archive that container runtimes import. */
  archive(tag: string, file: string): Promise<void>;
  /** Removes what `unpack` has made and all images. */
  clear(): Promise<void>;
}

/** Whether buildah is installed. */
export async function hasBuildah(): Promise<boolean> {
  return output('buildah', ['--version']).then(
    ({ code }) => code === 0,
    () => false,
  );
}

export function openImageStore(folder: string): ImageStore {
  // vfs copies files, and needs no mounts that would outlive a killed process.
  const store = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary, { recursive: true });

  async function buildah(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, TMPDIR: temporary, HOME: temporary };
    const { code, stdout, stderr } = await output('buildah', [...store, ...args], { env });
    if (code === 0) return stdout.trim();
    throw new Error(`buildah ${args[0]} failed with exit code ${code}:\n${`${stdout}${stderr}`.slice(-3000)}`);
  }

  const pairs = (flag: string, entries: Readonly<Record<string, string>> = {}): string[] =>
    Object.entries(entries).flatMap(([name, value]) => [flag, `${name}=${value}`]);

  return {
    async build({ tag, dockerfile, context, args, labels }) {
      // Without a user namespace and without cgroups, so that it works inside a container, too.
      const flags = ['--isolation', 'chroot', '--network', 'host', '--pull-never', '--file', dockerfile, '--tag', tag];
      await buildah('build', ...flags, ...pairs('--build-arg', args), ...pairs('--label', labels), context);
    },
    async config(tag) {
      const { OCIv1 } = JSON.parse(await buildah('inspect', '--type', 'image', tag)) as {
        OCIv1: { config: ImageConfig };
      };
      return OCIv1.config;
    },
    async unpack(tag) {
      return buildah('mount', await buildah('from', '--pull-never', tag));
    },
    async export(tag, target) {
      await buildah('push', '--quiet', tag, `oci:${target}:${tag.split(':').at(-1) ?? 'latest'}`);
      const blob = (digest: string): unknown =>
        JSON.parse(readFileSync(join(target, 'blobs', ...digest.split(':')), 'utf8'));
      const { manifests } = JSON.parse(readFileSync(join(target, 'index.json'), 'utf8')) as Index;
      const [manifest] = manifests.map(({ digest }) => blob(digest) as Manifest);
      return manifest?.layers.reduce((sum, { size }) => sum + size, 0) ?? 0;
    },
    async archive(tag, file) {
      // The format of Docker keeps the whole name.
      await buildah('push', '--quiet', tag, `docker-archive:${file}:${tag}`);
    },
    async clear() {
      await buildah('rm', '--all');
      await buildah('rmi', '--all', '--force');
    },
  };
}

/** The bytes of all files below a folder. */
export function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).size, 0);
}
