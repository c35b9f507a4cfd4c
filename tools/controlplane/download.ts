import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, createWriteStream, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { makeCacheEntry } from './cache-entry.ts';
import { output } from './command.ts';
import { cacheFolder } from './folders.ts';
import { startProgress } from './progress.ts';
import { PINNED, pinnedChecksum, publishedChecksum, type ReleaseFile, type Releases, releasesFor } from './releases.ts';
import { type Client, createClient, DownloadError, type FileProgress, withoutUser } from './transfer.ts';

export interface DownloadOptions {
  /** The machine; this one by default. */
  readonly platform?: string;
  readonly arch?: string;
  /** The text of the pinned checksums; checksums.txt by default. */
  readonly pinned?: string;
  /** A connection without a byte for this long is given up. */
  readonly silenceMs?: number;
}

/**
 * The folder of the official files for this machine; undefined when there are none. It exists only when the download is
 * complete. Another version and other pinned checksums have another folder.
 */
export function downloadFolder(options: DownloadOptions = {}): string | undefined {
  const releases = releasesOf(options);
  return releases === undefined ? undefined : folderOf(releases, pinnedOf(options));
}

/**
 * Downloads the official files of the control plane, unless they are in the cache, and returns their folder. Processes that
 * ask at the same time share one download. Throws a DownloadError.
 */
export async function downloadBinaries(log: (line: string) => void, options: DownloadOptions = {}): Promise<string> {
  const { platform = process.platform, arch = process.arch, silenceMs = 20_000 } = options;
  const releases = releasesOf(options);
  if (releases === undefined) throw new DownloadError(`there is no official kube-apiserver for ${platform}/${arch}`);
  const pinned = pinnedOf(options);
  const folder = folderOf(releases, pinned);
  if (existsSync(folder)) return folder;

  const title = `the Kubernetes ${releases.kubernetes} control plane`;
  const entry = makeCacheEntry({
    folder,
    onWait: () => log(`Another process is downloading ${title}; waiting for it.`),
    async fill(draft) {
      const servers = [...new Set(releases.files.map(({ server }) => withoutCredentials(server)))].toSorted();
      log(`Downloading ${title} with etcd ${releases.etcd} from ${servers.join(' and ')}.`);
      await fetchAll(draft, releases.files, pinned, log, silenceMs);
      for (const file of releases.files) await checkVersion(draft, file);
    },
  });
  await entry.catch((error: NodeJS.ErrnoException) => {
    // The file system refused the folder or the lock.
    throw error.code === undefined ? error : new DownloadError(error.message, { cause: error });
  });
  const allPinned = releases.files.every((file) => pinnedChecksum(file, pinned) !== undefined);
  log(`${title.replace(/^t/, 'T')} is in ${folder}.`);
  log(
    allPinned
      ? 'Its files have the checksums that this repository pins.'
      : 'Its files have the checksums that their servers publish, which shows that the transfer was complete, not who made the files.',
  );
  return folder;
}

const releasesOf = ({ platform = process.platform, arch = process.arch }: DownloadOptions): Releases | undefined =>
  releasesFor({ platform, arch }, process.env);

const pinnedOf = ({ pinned }: DownloadOptions): string => pinned ?? readFileSync(PINNED, 'utf8');

function folderOf({ kubernetes, files }: Releases, pinned: string): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path} ${pinnedChecksum(file, pinned) ?? 'not pinned'}\n`);
  return join(cacheFolder(), 'controlplane-releases', `${kubernetes}-${hash.digest('hex').slice(0, 12)}`);
}

function withoutCredentials(server: string): string {
  return URL.parse(server)?.host || withoutUser(server);
}

/** Downloads the files at the same time. The first failure ends the other transfers. */
async function fetchAll(
  folder: string,
  files: readonly ReleaseFile[],
  pinned: string,
  log: (line: string) => void,
  silenceMs: number,
): Promise<void> {
  const client = createClient(silenceMs);
  const progress = startProgress(log);
  const stop = new AbortController();
  try {
    const counter = count((what) => progress.report(what), files.length);
    await Promise.all(
      files.map((file) =>
        fetchFile(folder, file, pinned, client, counter, stop.signal).catch((error) => stop.abort(error)),
      ),
    );
    stop.signal.throwIfAborted();
  } finally {
    progress.stop();
    await client.close();
  }
}

async function fetchFile(
  folder: string,
  file: ReleaseFile,
  pinned: string,
  client: Client,
  counter: FileProgress,
  signal: AbortSignal,
): Promise<void> {
  const url = `${file.server}/${file.path}`;
  const expected = pinnedChecksum(file, pinned) ?? (await fetchChecksum(file, client, signal));
  const program = join(folder, file.program);
  const target = file.member === undefined ? program : `${program}.tar.gz`;
  const actual = await client.file(url, target, counter, signal);
  if (actual !== expected) {
    const source = pinnedChecksum(file, pinned) === undefined ? `the server's ${file.checksumPath}` : 'checksums.txt';
    throw new DownloadError(`${file.path} has the SHA-256 ${actual}, but ${source} has ${expected}`);
  }
  if (file.member !== undefined) {
    await extract(target, file.member, program);
    rmSync(target);
  }
  chmodSync(program, 0o755);
}

/** The checksum that the server publishes. Throws a DownloadError if there is none. */
export async function fetchChecksum(file: ReleaseFile, client: Client, signal: AbortSignal): Promise<string> {
  const url = `${file.server}/${file.checksumPath}`;
  const checksum = publishedChecksum(file, await client.text(url, signal));
  if (checksum === undefined) throw new DownloadError(`${file.checksumPath} has no SHA-256 of ${file.path}`);
  return checksum;
}

/** Writes one member of a .tar.gz. tar creates no file itself, so names and links in the archive have no effect. */
async function extract(archive: string, member: string, target: string): Promise<void> {
  const tar = spawn('tar', ['-xzOf', archive, '--', member], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  tar.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = new Promise<number | null>((resolve, reject) => {
    tar.on('error', reject);
    tar.on('close', resolve);
  });
  try {
    const [code] = await Promise.all([ended, pipeline(tar.stdout, createWriteStream(target, { flags: 'wx' }))]);
    if (code !== 0) throw new Error(complaint.trim().split('\n')[0] ?? '');
  } catch (error) {
    throw new DownloadError(`${member} cannot be unpacked (${(error as Error).message})`, { cause: error });
  }
}

/** A mirror may have another version under the name, and a file may be for another machine. */
async function checkVersion(folder: string, { program, path, version }: ReleaseFile): Promise<void> {
  const args = program === 'kubectl' ? ['version', '--client'] : ['--version'];
  const { stdout } = await output(join(folder, program), args).catch((error: unknown) => {
    throw new DownloadError(`${path} does not run on this machine (${(error as Error).message})`, { cause: error });
  });
  if (!stdout.includes(version)) throw new DownloadError(`${path} does not report the version ${version}`);
}

/** Adds up the transfers and reports them: bytes, speed and, once the size of every file is known, the time left. */
function count(report: (what: string) => void, files: number): FileProgress {
  const started = performance.now();
  let sizes = 0;
  let total = 0;
  let bytes = 0;
  return {
    onSize(size) {
      sizes++;
      total += size;
    },
    onBytes(more) {
      bytes += more;
      const perSecond = bytes / ((performance.now() - started) / 1000);
      const speed = `${megabytes(perSecond)} MB/s`;
      if (sizes < files) return report(`downloading, ${megabytes(bytes)} MB, ${speed}`);
      return report(
        `downloading, ${megabytes(bytes)} of ${megabytes(total)} MB, ${speed}, ${inWords((total - bytes) / perSecond)} left`,
      );
    },
  };
}

const inWords = (seconds: number): string =>
  seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
