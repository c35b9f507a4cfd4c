import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { buildBinaries, buildFolders } from './build.ts';
import { output } from './command.ts';
import { downloadBinaries, downloadFolder } from './download.ts';
import {
  type Binaries,
  BinariesError,
  binariesIn,
  NODE_PROGRAMS,
  type NodeBinaries,
  nodeBinariesIn,
  PROGRAMS,
} from './programs.ts';
import { DownloadError } from './transfer.ts';

/** The oldest version with certificates.k8s.io/v1 ClusterTrustBundle and the CEL functions of the CRDs. */
const OLDEST_MINOR = 36;

export interface FindOptions {
  /** Try to download official release files before building; false by default. KUBERNETES_DOWNLOAD asks for it, too. */
  readonly download?: boolean;
  /** Whether the programs of a node are needed, too; false by default. They are built with Go, unless KUBEBUILDER_ASSETS is set. */
  readonly node?: boolean;
}

/**
 * Finds the control plane's programs in KUBEBUILDER_ASSETS, in the cache of an earlier build or download, or on PATH. Otherwise
 * downloads them, if that is asked for, or builds them with Go into the cache, which takes minutes. Reports progress to `log`.
 * Throws a BinariesError when all of these fail.
 */
export async function findBinaries(log: (line: string) => void, options: FindOptions = {}): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets) return fromAssets(assets);

  if (options.node) return binariesIn(await buildBinaries(log, { node: true }));

  const cached = [...buildFolders(), downloadFolder()].find((folder) => folder !== undefined && existsSync(folder));
  if (cached !== undefined) return binariesIn(cached);

  const installed = await fromPath();
  if (installed !== undefined) return installed;

  const download = options.download || isAskedFor(process.env['KUBERNETES_DOWNLOAD']);
  return binariesIn((download ? await tryDownload(log) : undefined) ?? (await buildBinaries(log)));
}

/**
 * Finds kube-scheduler and kubelet next to the control plane's programs. Otherwise builds them with Go into the cache, together
 * with another control plane, which takes minutes. Throws a BinariesError when this fails.
 */
export async function findNodeBinaries(
  { kubeApiserver }: Binaries,
  log: (line: string) => void,
): Promise<NodeBinaries> {
  const folder = dirname(kubeApiserver);
  const isComplete = NODE_PROGRAMS.every((program) => isExecutable(join(folder, program)));
  return nodeBinariesIn(isComplete ? folder : await buildBinaries(log, { node: true }));
}

const isAskedFor = (variable = ''): boolean => !['', '0', 'false'].includes(variable);

/** The folder of the official files; undefined, with one line that says why, when they cannot be had. */
async function tryDownload(log: (line: string) => void): Promise<string | undefined> {
  try {
    return await downloadBinaries(log);
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error;
    log(`The official files cannot be used: ${error.message}. Building the control plane instead.`);
    return undefined;
  }
}

async function fromAssets(folder: string): Promise<Binaries> {
  const missing = PROGRAMS.filter((program) => !isExecutable(join(folder, program)));
  if (missing.length > 0) {
    const hint = missing.includes('kube-controller-manager')
      ? ' The archives of setup-envtest do not contain kube-controller-manager: copy it from the Kubernetes release of the same version.'
      : '';
    throw new BinariesError(
      `KUBEBUILDER_ASSETS=${folder} does not contain ${missing.join(', ')}.${hint} ` +
        'Or unset KUBEBUILDER_ASSETS to build the control plane with Go.',
    );
  }
  const binaries = binariesIn(folder);
  const version = await versionOf(binaries.kubeApiserver);
  if (!isNewEnough(version)) {
    throw new BinariesError(
      `KUBEBUILDER_ASSETS=${folder} has Kubernetes ${version}; the tests need 1.${OLDEST_MINOR} or newer. ` +
        'Or unset KUBEBUILDER_ASSETS to build the control plane with Go.',
    );
  }
  return binaries;
}

/** The programs on PATH; undefined unless all of them are there and new enough. */
async function fromPath(): Promise<Binaries | undefined> {
  const [etcd, kubeApiserver, kubeControllerManager, kubectl] = PROGRAMS.map(onPath);
  if (!etcd || !kubeApiserver || !kubeControllerManager || !kubectl) return undefined;
  const versions = await Promise.all([kubeApiserver, kubeControllerManager].map(versionOf));
  return versions.every(isNewEnough) ? { etcd, kubeApiserver, kubeControllerManager, kubectl } : undefined;
}

function onPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The version that the program prints ("v1.37.2"), or "unknown". */
async function versionOf(program: string): Promise<string> {
  const { stdout } = await output(program, ['--version']);
  return /v\d+\.\d+\.\S+/.exec(stdout)?.[0] ?? 'unknown';
}

function isNewEnough(version: string): boolean {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= OLDEST_MINOR);
}
