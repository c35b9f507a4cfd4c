import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { BuildForecast, type BuildPackage } from './build-estimate.ts';
import { makeCacheEntry } from './cache-entry.ts';
import { output } from './command.ts';
import { compilerEnvironment } from './compiler-memory.ts';
import { cacheFolder } from './folders.ts';
import { GoCommandError, runGo } from './go-command.ts';
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
  /** Build tags; none by default. */
  readonly tags?: readonly string[];
  /** The folder of all builds of this program, below the cache. */
  readonly cache: string;
  /** The version of the program, the first part of the folder's name. */
  readonly version: string;
  /** The file name of the program. */
  readonly program: string;
  /** A sentence on what the user can do without Go. */
  readonly otherwise?: string;
  /** Completes the folder after the build. */
  readonly complete?: (folder: string) => void;
}

/**
 * Nothing here changes what the program does, so nothing here is part of the name of the folder. `-dwarf=false`: the linker
 * strips the information for debuggers, so the compiler does not write it.
 */
const COMPILER_FLAGS = ['-trimpath', '-buildvcs=false', '-gcflags=all=-dwarf=false'];

/** For `go list`: a line for each package with its path, whether it has to be compiled, its folder and its sources. */
const LISTING =
  '{{.ImportPath}}\t{{.Stale}}\t{{.Dir}}{{range .GoFiles}}\t{{.}}{{end}}{{range .CgoFiles}}\t{{.}}{{end}}{{range .SFiles}}\t{{.}}{{end}}';

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
  for (const tag of build.tags ?? []) hash.update(`tag ${tag}\n`);
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
      log(`Building ${build.title} with Go. Later runs use the cache.`);
      await compile(draft, build, log);
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

/** Compiles the program into the folder `draft`. */
async function compile(draft: string, build: GoBuild, log: (line: string) => void): Promise<void> {
  const progress = startProgress(log);
  const temporary = join(draft, 'tmp');
  mkdirSync(temporary);
  const cores = availableParallelism();
  const memory = { availableBytes: process.availableMemory(), cores };
  const env = { ...compilerEnvironment(process.env, memory), GOTMPDIR: temporary };
  const go = (args: readonly string[], onLine: (line: string) => void): Promise<string> =>
    runGo({
      args,
      cwd: build.sources,
      env,
      onLine,
      onInterruption() {
        progress.stop();
        log(
          'The build is interrupted. Go keeps what it has downloaded and compiled: the next run continues from there.',
        );
      },
    });
  try {
    let modules = 0;
    const most = countModules(build);
    const flags = [...COMPILER_FLAGS, ...(build.tags ?? []).map((tag) => `-tags=${tag}`)];
    const listing = await go(['list', ...flags, '-deps', '-f', LISTING, build.package], (line) => {
      if (line.startsWith('go: downloading')) progress.report(`downloading modules, ${++modules} of at most ${most}`);
    });
    const packages = parseListing(listing);
    const forecast = new BuildForecast(packages, cores);
    log(`${forecast.announcement()} You can interrupt it: the next run continues from there.`);
    progress.report(forecast.report(0));

    const started = performance.now();
    const show = setInterval(() => progress.report(forecast.report(performance.now() - started)), 500);
    try {
      // With -v, Go prints each package when it begins to compile it.
      const link = ['-ldflags', build.linkerFlags, '-o', join(draft, build.program)];
      await go(['build', '-v', ...flags, ...link, build.package], (line) =>
        forecast.begins(line, performance.now() - started),
      );
    } finally {
      clearInterval(show);
    }
  } catch (error) {
    if (!(error instanceof GoCommandError)) throw error;
    throw new BinariesError(
      `${error.message} while building ${build.title}. The build needs network access (or a complete module cache) and about 4 GB of memory and disk. The last lines of its output:\n${error.lines.join('\n')}`,
    );
  } finally {
    progress.stop();
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The number of modules in go.sum whose content a build may need. */
function countModules({ sources }: GoBuild): number {
  const lines = readFileSync(join(sources, 'go.sum'), 'utf8').trimEnd().split('\n');
  return lines.filter((line) => !line.includes('/go.mod h1:')).length;
}

/** The packages in an output of `go list` with the template LISTING. */
function parseListing(listing: string): BuildPackage[] {
  return listing
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [path = '', stale, folder = '', ...files] = line.split('\t');
      const sizes = files.filter((file) => file !== '').map((file) => statSync(join(folder, file)).size);
      return { path, isCached: stale === 'false', bytes: sizes.reduce((sum, size) => sum + size, 0) };
    });
}
