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

/** What the project's Go module says. */
function moduleVersions(): { go: string; kubernetes: string } {
  const text = readFileSync(join(SOURCES, 'go.mod'), 'utf8');
  const go = /^go (\S+)$/m.exec(text)?.[1];
  const kubernetes = /^\s*k8s\.io\/kubernetes v(\S+)$/m.exec(text)?.[1];
  if (go === undefined || kubernetes === undefined) throw new Error('go.mod names no version of Go or of Kubernetes');
  return { go, kubernetes };
}

/** Clients cannot parse the version of a server that was built without one, so it is stamped as a release does. */
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

/** Where the build of these sources is kept; the folder exists only when it is complete. */
export function buildFolder(): string {
  const { kubernetes } = moduleVersions();
  const hash = createHash('sha256').update(`${process.platform}/${process.arch}\n${linkerFlags(kubernetes)}\n`);
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(SOURCES, file)));
  return join(cacheFolder(), 'controlplane', `${kubernetes}-${hash.digest('hex').slice(0, 12)}`);
}

/** Builds the control plane into `buildFolder()`, once for all processes that ask at the same time. Returns that folder. */
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
      `Building the Kubernetes ${kubernetes} control plane with Go: once, about 6 minutes on two cores, then cached.`,
    );
    await compile(join(draft, 'controlplane'), linkerFlags(kubernetes), log);
    for (const program of PROGRAMS) symlinkSync('controlplane', join(draft, program));
    renameSync(draft, folder);
    log(`The control plane is in ${folder}.`);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // Someone else's build of the same sources is as good.
    if (!existsSync(folder)) throw error;
  }
}

/** Drafts are named by the pid of their builder; one that was killed leaves its own. */
function removeAbandonedDrafts(folder: string): void {
  for (const draft of globSync(`${folder}.*[0-9]`)) {
    const pid = Number(draft.slice(draft.lastIndexOf('.') + 1));
    if (pid === process.pid || identify(pid) === undefined) rmSync(draft, { recursive: true, force: true });
  }
}

async function requireGo(wanted: string): Promise<void> {
  const otherwise =
    'Or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.';
  let reply: string;
  try {
    // Outside the module, where Go speaks for itself and does not yet fetch the version that the module asks for.
    reply = (await output('go', ['env', 'GOVERSION', 'GOTOOLCHAIN'], { cwd: '/' })).stdout;
  } catch {
    throw new BinariesError(
      `There is no Kubernetes control plane yet, and no Go to build it with: install Go ${wanted} or newer (https://go.dev/dl). ${otherwise}`,
    );
  }
  const [version = '', toolchain = ''] = reply.split('\n');
  const fetchesNewer = toolchain.startsWith('auto') || toolchain.endsWith('+auto');
  if (!isAtLeast(version, fetchesNewer ? '1.21' : wanted)) {
    throw new BinariesError(
      `The Kubernetes control plane needs Go ${wanted} or newer, this is ${version}: install a newer one (https://go.dev/dl). ${otherwise}`,
    );
  }
}

/** Whether what `go env GOVERSION` says, for instance "go1.26.8" or "go1.27rc1", is at least `wanted`. */
function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);
  const have = numbers(version);
  const differences = numbers(wanted).map((number, index) => (have[index] ?? 0) - number);
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
      // With -v, Go names each package as it gets to it; the last is the program itself, which is then linked.
      compiled++;
      const percent = Math.floor((compiled / total) * 100);
      progress.report(compiled < total ? `compiling, ${percent} % of ${total} packages` : 'linking');
    });
  } finally {
    progress.stop();
  }
}

/** Runs Go in the module, hands each line of its standard error on, returns its standard output. */
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
          `go ${args[0]} failed while building the control plane. It needs network access (or a full module cache) and about 4 GB of memory and disk. Its last lines:\n${tail}`,
        ),
      );
    });
  });
}
