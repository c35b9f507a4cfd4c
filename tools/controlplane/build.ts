import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { output } from './command.ts';
import { cacheFolder } from './folders.ts';
import { guardProcess } from './guard.ts';
import { withLock } from './lock.ts';
import { identify } from './processes.ts';
import { BinariesError, PROGRAMS } from './programs.ts';
import { startProgress } from './progress.ts';

const SOURCES = fileURLToPath(new URL('go/', import.meta.url));

/** The versions in the project's go.mod. */
function moduleVersions(): { go: string; kubernetes: string } {
  const text = readFileSync(join(SOURCES, 'go.mod'), 'utf8');
  const go = /^go (\S+)$/m.exec(text)?.[1];
  const kubernetes = /^\s*k8s\.io\/kubernetes v(\S+)$/m.exec(text)?.[1];
  if (go === undefined || kubernetes === undefined)
    throw new Error('go.mod does not contain a version of Go and of Kubernetes');
  return { go, kubernetes };
}

/** Sets the version as a release build does, because clients cannot parse the version of a server without one. */
function linkerFlags(kubernetes: string): string {
  const [major, minor] = kubernetes.split('.');
  const stamps = [
    `k8s.io/component-base/version.gitVersion=v${kubernetes}`,
    `k8s.io/component-base/version.gitMajor=${major}`,
    `k8s.io/component-base/version.gitMinor=${minor}`,
    `k8s.io/client-go/pkg/version.gitVersion=v${kubernetes}`,
  ];
  return ['-s', '-w', ...stamps.map((stamp) => `-X ${stamp}`)].join(' ');
}

/** The folder for a build of these sources. It exists only when the build is complete. */
export function buildFolder(): string {
  const { kubernetes } = moduleVersions();
  const hash = createHash('sha256').update(`${process.platform}/${process.arch}\n${linkerFlags(kubernetes)}\n`);
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(SOURCES, file)));
  return join(cacheFolder(), 'controlplane', `${kubernetes}-${hash.digest('hex').slice(0, 12)}`);
}

/** Builds the control plane into `buildFolder()` and returns that folder. Processes that ask at the same time share one build. */
export async function buildBinaries(log: (line: string) => void): Promise<string> {
  const folder = buildFolder();
  mkdirSync(join(folder, '..'), { recursive: true });
  const waiting = (): void => log('Another process is building the Kubernetes control plane; waiting for it.');
  await withLock(`${folder}.lock`, waiting, async () => {
    if (!existsSync(folder)) await build(folder, log);
  });
  return folder;
}

async function build(folder: string, log: (line: string) => void): Promise<void> {
  const { go, kubernetes } = moduleVersions();
  await requireGo(go);
  removeAbandonedDrafts(folder);
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft);
  try {
    log(
      `Building the Kubernetes ${kubernetes} control plane with Go. The first build takes about 6 minutes on two cores; later runs use the cache.`,
    );
    await compile(join(draft, 'controlplane'), linkerFlags(kubernetes), log);
    for (const program of PROGRAMS) symlinkSync('controlplane', join(draft, program));
    renameSync(draft, folder);
    log(`The control plane is in ${folder}.`);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // A complete build by another process will do.
    if (!existsSync(folder)) throw error;
  }
}

/** A killed build leaves its draft behind. The name of a draft ends with the pid of its build. */
function removeAbandonedDrafts(folder: string): void {
  for (const draft of globSync(`${folder}.*[0-9]`)) {
    const pid = Number(draft.slice(draft.lastIndexOf('.') + 1));
    if (pid === process.pid || identify(pid) === undefined) rmSync(draft, { recursive: true, force: true });
  }
}

async function requireGo(required: string): Promise<void> {
  const otherwise =
    'Or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.';
  let reply: string;
  try {
    // Outside the module: inside it, Go would download the version that go.mod requires before it answers.
    reply = (await output('go', ['env', 'GOVERSION', 'GOTOOLCHAIN'], { cwd: '/' })).stdout;
  } catch {
    throw new BinariesError(
      `Building the Kubernetes control plane needs Go, which is not installed: install Go ${required} or newer (https://go.dev/dl). ${otherwise}`,
    );
  }
  const [version = '', toolchain = ''] = reply.split('\n');
  const fetchesNewer = toolchain.startsWith('auto') || toolchain.endsWith('+auto');
  if (!isAtLeast(version, fetchesNewer ? '1.21' : required)) {
    throw new BinariesError(
      `Building the Kubernetes control plane needs Go ${required} or newer, and this machine has ${version}: install a newer Go (https://go.dev/dl). ${otherwise}`,
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

async function compile(binary: string, flags: string, log: (line: string) => void): Promise<void> {
  const progress = startProgress(log);
  try {
    let modules = 0;
    const packages = await go(['list', '-deps', '.'], (line) => {
      if (line.startsWith('go: downloading')) progress.report(`downloading modules, ${++modules} so far`);
    });
    const total = packages.trimEnd().split('\n').length;

    progress.report(`compiling ${total} packages`);
    let compiled = 0;
    await go(['build', '-v', '-trimpath', '-buildvcs=false', '-ldflags', flags, '-o', binary, '.'], (line) => {
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
function go(args: readonly string[], onLine: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', args, { cwd: SOURCES, stdio: ['ignore', 'pipe', 'pipe'] });
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
          `"go ${args[0]}" failed while building the control plane. The build needs network access (or a complete module cache) and about 4 GB of memory and disk. The last lines of its output:\n${tail}`,
        ),
      );
    });
  });
}
