import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';

import { output } from '../controlplane/command.ts';
import { type TarEntry, writeTar } from './tar.ts';

/** An image of local files. Pods use it with `imagePullPolicy: Never`. */
export interface ImageSpec {
  /** With a registry and a tag, for example `localhost/server:1`. */
  readonly name: string;
  /** By path in the image: a text, or a file or folder of this machine, whose modes stay. */
  readonly files?: Readonly<Record<string, ImageFile>>;
  /** Programs of this machine by path in the image. They come with the shared libraries that they need. */
  readonly programs?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `uid:gid`; root by default. */
  readonly user?: string;
  readonly workingDir?: string;
}

export type ImageFile =
  | { readonly text: string; readonly mode?: number }
  | { readonly from: string }
  /** A symbolic link. */
  | { readonly link: string };

/** The architectures of OCI, by their name in Node.js. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes the image as an archive for `ctr images import` (OCI image layout). */
export async function writeImage(archive: string, spec: ImageSpec): Promise<void> {
  const layer = `${archive}.layer`;
  mkdirSync(dirname(archive), { recursive: true });
  writeTar(layer, withFolders(await entriesOf(spec)));
  try {
    const layerDigest = digestOf(readFileSync(layer));
    const config = JSON.stringify({
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      os: process.platform,
      config: {
        Env: Object.entries({ PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...spec.env }).map(
          ([key, value]) => `${key}=${value}`,
        ),
        Entrypoint: spec.entrypoint ?? [],
        Cmd: spec.command ?? [],
        User: spec.user ?? '',
        WorkingDir: spec.workingDir ?? '/',
      },
      rootfs: { type: 'layers', diff_ids: [layerDigest] },
    });
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: [
        { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layerDigest, size: statSync(layer).size },
      ],
    });
    const annotations = { 'io.containerd.image.name': spec.name };
    const index = JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest), annotations }],
    });
    const blob = (content: string): TarEntry => ({ path: blobPath(digestOf(content)), content });
    writeTar(archive, [
      { path: 'oci-layout', content: JSON.stringify({ imageLayoutVersion: '1.0.0' }) },
      { path: 'index.json', content: index },
      blob(manifest),
      blob(config),
      { path: blobPath(layerDigest), from: layer },
    ]);
  } finally {
    rmSync(layer, { force: true });
  }
}

const digestOf = (content: string | Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;
const blobPath = (digest: string): string => join('blobs', ...digest.split(':'));
const descriptor = (mediaType: string, content: string): object => ({
  mediaType,
  digest: digestOf(content),
  size: Buffer.byteLength(content),
});

/** The files by path. A later entry replaces an earlier one. */
async function entriesOf({ files = {}, programs = {} }: ImageSpec): Promise<Map<string, TarEntry>> {
  const entries = new Map<string, TarEntry>();
  const add = (entry: TarEntry): void => void entries.set(entry.path, entry);
  add({ path: '/tmp', folder: true, mode: 0o1777 });
  for (const [path, program] of Object.entries(programs)) {
    add({ path, from: program, mode: 0o755 });
    for (const library of await librariesOf(program)) add({ path: library, from: library, mode: 0o755 });
  }
  for (const [path, file] of Object.entries(files)) {
    if ('text' in file) add({ path, content: file.text, mode: file.mode ?? 0o644 });
    else if ('link' in file) add({ path, link: file.link });
    else for (const entry of copyOf(file.from, path)) add(entry);
  }
  return entries;
}

/** Adds the folders of all files. */
function* withFolders(entries: ReadonlyMap<string, TarEntry>): Iterable<TarEntry> {
  const folders = new Set<string>();
  for (const path of entries.keys()) {
    for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) folders.add(folder);
  }
  for (const path of [...folders].toSorted()) if (!entries.has(path)) yield { path, folder: true };
  yield* entries.values();
}

/** A file or folder of this machine. Links in a folder stay links. */
function* copyOf(from: string, path: string, isTop = true): Iterable<TarEntry> {
  const stat = isTop ? statSync(from) : lstatSync(from);
  const mode = stat.mode & 0o7777;
  if (stat.isSymbolicLink()) yield { path, link: readlinkSync(from), mode };
  else if (stat.isFile()) yield { path, from, mode };
  else if (stat.isDirectory()) {
    yield { path, folder: true, mode };
    for (const name of readdirSync(from)) yield* copyOf(join(from, name), posix.join(path, name), false);
  }
}

/** The shared libraries and the loader of a program, by their paths on this machine; none for a static program. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await output('ldd', [realpathSync(program)]);
  const paths = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path = '']) => path);
  return [...new Set(paths)];
}

/** The applets of busybox, as links to it. */
export async function busyboxImage(busybox: string): Promise<ImageSpec> {
  const { stdout } = await output(busybox, ['--list']);
  const applets = stdout
    .trim()
    .split('\n')
    .map((name) => basename(name));
  return {
    name: 'localhost/busybox:1',
    programs: { '/bin/busybox': busybox },
    files: {
      ...Object.fromEntries(
        applets.filter((name) => name !== 'busybox').map((name) => [`/bin/${name}`, { link: 'busybox' }]),
      ),
      '/etc/passwd': { text: 'root:x:0:0:root:/:/bin/sh\n' },
      '/etc/group': { text: 'root:x:0:\n' },
    },
    command: ['/bin/sh'],
  };
}

/** The image that holds a pod's namespaces. */
export const pauseImage = (busybox: string): ImageSpec => ({
  name: 'localhost/pause:1',
  programs: { '/bin/busybox': busybox },
  entrypoint: ['/bin/busybox', 'sleep', '2147483647'],
});
