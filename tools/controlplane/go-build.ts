import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { makeCacheEntry } from './cache-entry.ts';
import { output } from './command.ts';
import { cacheFolder } from './folders.ts';
import { guardProcess } from './guard.ts';
import { BinariesError } from './programs.ts';
import { startProgress } from './progress.ts';

/** A program that Go builds from pinned modules into the user's cache. */
export interface GoBuild {
  /** In messages, for example "the Kubernetes 1.37.2 control plane". */
  readonly title: string;
  /** The folder of go.mod and go.sum. */
  readonly sources: string;
  /** The files of `sources` that decide the result. */
  readonly files: readonly string[];
  /** The package of the program. */
  readonly package: string;
  readonly linkerFlags: string;
  /** The folder of all builds of this program, below the cache. */
  readonly cache: string;
  /** The version of the program, the first part of the folder's name. */
  readonly version: string;
  /** The file name of the program. */
  readonly program: string;
  /** How long the first build takes. */
  readonly duration: string;
  /** A sentence on what the user can do without Go. */
  readonly otherwise?: string;
  /** Completes the folder after the build. */
  readonly complete?: (folder: string) => void;
}

/** The version of a module in the text of a go.mod, without its "v". Throws when go.mod does not require the module. */
export function moduleVersion(goMod: string, module: string): string {
  const version = goMod
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/^require /, '')
        .split(' '),
    )
    .find(([path]) => path === module)?.[1];
  if (version === undefined) throw new Error(`go.mod does not require ${module}`);
  return version.replace(/^v/, '');
}

/** The folder for this build. It exists only when the build is complete. */
export function goBuildFolder(build: GoBuild): string {
  const hash = createHash('sha256').update(`${process.platform}/${process.arch}\n${build.linkerFlags}\n`);
  for (const file of build.files) hash.update(readFileSync(join(build.sources, file)));
  return join(cacheFolder(), build.cache, `${build.version}-${hash.digest('hex').slice(0, 12)}`);
}

/** Builds into `goBuildFolder()` unless it exists, and returns that folder. Processes that ask at the same time share one build. */
export async function goBuild(build: GoBuild, log: (line: string) => void): Promise<string> {
  const folder = goBuildFolder(build);
  if (existsSync(folder)) return folder;
  await makeCacheEntry({
    folder,
    onWait: () => log(`Another process is building ${build.title}; waiting for it.`),
    async fill(draft) {
      await requireGo(build);
      log(`Building ${build.title} with Go. The first build takes about ${build.duration}; later runs use the cache.`);
      await compile(join(draft, build.program), build, log);
      build.complete?.(draft);
    },
  });
  log(`${build.title.replace(/^t/, 'T')} is in ${folder}.`);
  return folder;
}

async function requireGo({ title, sources, otherwise = '' }: GoBuild): Promise<void> {
  const required = /^go (\S+)$/m.exec(readFileSync(join(sources, 'go.mod'), 'utf8'))?.[1];
  if (required === undefined) throw new Error(`${sources}/go.mod does not contain a version of Go`);
  let reply: string;
  try {
    // Outside the module: inside it, Go would download the version that go.mod requires before it answers.
    reply = (await output('go', ['env', 'GOVERSION', 'GOTOOLCHAIN'], { cwd: '/' })).stdout;
  } catch {
    throw new BinariesError(
      `Building ${title} needs Go, which is not installed: install Go ${required} or newer (https://go.dev/dl). ${otherwise}`.trim(),
    );
  }
  const [version = '', toolchain = ''] = reply.split('\n');
  const fetchesNewer = toolchain.startsWith('auto') || toolchain.endsWith('+auto');
  if (!isAtLeast(version, fetchesNewer ? '1.21' : required)) {
    throw new BinariesError(
      `Building ${title} needs Go ${required} or newer, and this machine has ${version}: install a newer Go (https://go.dev/dl). ${otherwise}`.trim(),
    );
  }
}

/** Whether an output of `go env GOVERSION`, for example "go1.26.8" or "go1.27rc1", is at least `required`. */
function isAtLeast(version: string, required: string): boolean {
  const numbers = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);
  const have = numbers(version);
  const differences = numbers(required).map((number, index) => (have[index] ?? 0) - number);
  return (differences.find((difference) => difference !== 0) ?? 0) >= 0;
}

async function compile(binary: string, build: GoBuild, log: (line: string) => void): Promise<void> {
  const progress = startProgress(log);
  try {
    let modules = 0;
    const packages = await go(build, ['list', '-deps', build.package], (line) => {
      if (line.startsWith('go: downloading')) progress.report(`downloading modules, ${++modules} so far`);
    });
    const total = packages.trimEnd().split('\n').length;

    progress.report(`compiling ${total} packages`);
    let compiled = 0;
    const flags = ['-v', '-trimpath', '-buildvcs=false', '-ldflags', build.linkerFlags];
    await go(build, ['build', ...flags, '-o', binary, build.package], (line) => {
      if (line.startsWith('go: ')) return;
      // With -v, Go prints each package when it begins to compile it. The last one is the program, which Go then links.
      compiled++;
      const percent = Math.floor((compiled / total) * 100);
      progress.report(compiled < total ? `compiling, ${percent} % of ${total} packages` : 'linking');
    });
  } finally {
    progress.stop();
  }
}

/** Runs Go in the module. Passes each line of standard error to `onLine` and returns standard output. */
function go({ title, sources }: GoBuild, args: readonly string[], onLine: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', args, { cwd: sources, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) guardProcess(child);
    let stdout = '';
    const lines: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      onLine(line);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) return resolve(stdout);
      const tail = lines.slice(-15).join('\n');
      return reject(
        new BinariesError(
          `"go ${args[0]}" failed while building ${title}. The build needs network access (or a complete module cache) and about 4 GB of memory and disk. The last lines of its output:\n${tail}`,
        ),
      );
    });
  });
}
