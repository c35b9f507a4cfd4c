import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { moduleVersion } from './go-build.ts';

const GO_MOD = new URL('go/go.mod', import.meta.url);

/** The checksums that this repository pins, in the format of sha256sum. `pin-checksums.ts` writes it. */
export const PINNED = fileURLToPath(new URL('checksums.txt', import.meta.url));

/** A file of an official release. */
export interface ReleaseFile {
  /** The program that the file is or contains. */
  readonly program: 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl';
  /** The URL of the server, without a slash at the end. */
  readonly server: string;
  /** The path on the server. It contains the version, and is the name of the file in `PINNED`. */
  readonly path: string;
  /** The path of the published checksum on the same server. */
  readonly checksumPath: string;
  /** The program's path in the file, which is then a .tar.gz. */
  readonly member?: string;
  /** The program prints this when it is asked for its version. */
  readonly version: string;
}

/** The official files of one control plane. */
export interface Releases {
  /** The versions of the control plane that the build makes, from its go.mod. */
  readonly kubernetes: string;
  readonly etcd: string;
  readonly files: readonly ReleaseFile[];
}

/** Architectures with an official kube-apiserver and etcd, by their name in Node.js. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export const RELEASE_ARCHITECTURES = Object.keys(ARCHITECTURES);

/**
 * The official files for an operating system and an architecture, both with their name in Node.js; undefined when there are
 * none. KUBERNETES_MIRROR and ETCD_MIRROR replace the servers.
 */
export function releasesFor(
  { platform, arch }: { readonly platform: string; readonly arch: string },
  environment: NodeJS.ProcessEnv,
): Releases | undefined {
  const architecture = ARCHITECTURES[arch];
  if (platform !== 'linux' || architecture === undefined) return undefined;
  const goMod = readFileSync(GO_MOD, 'utf8');
  const kubernetes = moduleVersion(goMod, 'k8s.io/kubernetes');
  const etcd = moduleVersion(goMod, 'go.etcd.io/etcd/server/v3');
  return {
    kubernetes,
    etcd,
    files: [
      etcdFile(
        mirror(environment['ETCD_MIRROR'], 'https://github.com/etcd-io/etcd/releases/download'),
        etcd,
        architecture,
      ),
      ...(['kube-apiserver', 'kube-controller-manager', 'kubectl'] as const).map((program) => {
        const path = `release/v${kubernetes}/bin/linux/${architecture}/${program}`;
        const server = mirror(environment['KUBERNETES_MIRROR'], 'https://dl.k8s.io');
        return { program, server, path, checksumPath: `${path}.sha256`, version: `v${kubernetes}` };
      }),
    ],
  };
}

function etcdFile(server: string, version: string, architecture: string): ReleaseFile {
  const name = `etcd-v${version}-linux-${architecture}`;
  return {
    program: 'etcd',
    server,
    path: `v${version}/${name}.tar.gz`,
    checksumPath: `v${version}/SHA256SUMS`,
    member: `${name}/etcd`,
    version: `etcd Version: ${version}`,
  };
}

const mirror = (value: string | undefined, official: string): string => (value || official).replace(/\/+$/, '');

/** The pinned checksum of a file, as lower-case hex; undefined when the file's version is not pinned. */
export function pinnedChecksum(file: ReleaseFile, pinned: string): string | undefined {
  return checksumIn(pinned, file.path);
}

/**
 * The checksum that the release server publishes: in a file of its own (Kubernetes), or in the list of a release (etcd);
 * undefined when the text has none for the file.
 */
export function publishedChecksum(file: ReleaseFile, published: string): string | undefined {
  const alone = published.trim();
  return /^[0-9a-f]{64}$/i.test(alone) ? alone.toLowerCase() : checksumIn(published, file.path.split('/').at(-1) ?? '');
}

/** Reads the output of sha256sum: the checksum, a blank, a blank or "*", and the name. */
function checksumIn(list: string, name: string): string | undefined {
  const lines = list.split('\n').map((line) => /^([0-9a-f]{64}) [ *](.+?)\r?$/i.exec(line));
  return lines.find((match) => match?.[2] === name)?.[1]?.toLowerCase();
}
