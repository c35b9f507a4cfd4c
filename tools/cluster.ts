// npm run cluster: a control plane in the background, for development and tests by hand.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

import { type FindOptions, findBinaries } from './controlplane/binaries.ts';
import { kubectlEnvironment, startControlPlane } from './controlplane/controlplane.ts';
import { stateFolder } from './controlplane/folders.ts';
import { onInterruption } from './controlplane/interruption.ts';
import { withLock } from './controlplane/lock.ts';
import { BinariesError } from './controlplane/programs.ts';
import { endRecorded, isUp, readState } from './controlplane/state.ts';
import { endRecordedNode, loadIntoNode, nodeIsUp, startNode } from './node/node.ts';

const USAGE = `usage: npm run cluster -- COMMAND [--name NAME] [--node] [--download]

Runs a Kubernetes control plane on this machine: etcd, kube-apiserver and kube-controller-manager. Without --node, it runs no pods.
A cluster runs in the background until "down". Clusters with different names run at the same time.

  up           start the cluster; after a crash or a reboot, it keeps its data
  down         stop the cluster and remove its data
  status       list the clusters; exit code 0 if the named cluster (or, without --name, any cluster) is running
  kubeconfig   print the path of an administrator's kubeconfig
  load FILE... make the images of archives (docker save, or OCI) available to the pods of the node, without a registry
  kubectl ...  run the built-in kubectl, for example: npm run --silent cluster -- kubectl get namespaces

  --node       up: add kube-scheduler and a node with kubelet, containerd and runc, which run pods (Linux, as root)
  --name NAME  the name of the cluster, by default "default"; write it before "kubectl", which gets all later arguments
  --download   up: use the official release files of Kubernetes and etcd instead of building both with Go; the same as KUBERNETES_DOWNLOAD=1
`;

const CLUSTERS = join(stateFolder(), 'clusters');

class UsageError extends Error {}

interface Request {
  readonly command: string;
  readonly name: string | undefined;
  readonly download: boolean;
  readonly node: boolean;
  /** The archives of images to load. */
  readonly files: readonly string[];
  readonly kubectlArgs: readonly string[];
}

function parse(argv: readonly string[]): Request {
  // kubectl gets every argument after the word kubectl.
  const cut = argv.indexOf('kubectl');
  const own = cut < 0 ? argv : argv.slice(0, cut + 1);
  let parsed: { values: { name?: string; download?: boolean; node?: boolean; help?: boolean }; positionals: string[] };
  try {
    parsed = parseArgs({
      args: [...own],
      allowPositionals: true,
      options: {
        name: { type: 'string' },
        node: { type: 'boolean' },
        download: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  const [command = 'help', ...files] = positionals;
  if (command === 'load' && files.length === 0) throw new UsageError('"load" needs at least one file');
  if (command !== 'load' && files.length > 0) throw new UsageError(`unexpected argument "${files.join(' ')}"`);
  for (const flag of ['node', 'download'] as const) {
    if (values[flag] && command !== 'up') throw new UsageError(`--${flag} belongs to the command "up"`);
  }
  // The name becomes part of a path.
  if (values.name !== undefined && !/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(values.name)) {
    throw new UsageError(
      `invalid name "${values.name}": use at most 32 letters a-z, digits and hyphens, and no hyphen at either end`,
    );
  }
  return {
    command: values.help ? 'help' : command,
    name: values.name,
    download: values.download === true,
    node: values.node === true,
    files,
    kubectlArgs: cut < 0 ? [] : argv.slice(cut + 1),
  };
}

/** Runs the request, returns the exit code. */
async function run({ command, name, download, node, files, kubectlArgs }: Request): Promise<number> {
  const chosen = name ?? 'default';
  switch (command) {
    case 'up':
      return up(chosen, node, { download });
    case 'down':
      return down(chosen);
    case 'status':
      return status(name);
    case 'kubeconfig':
      return printKubeconfig(chosen);
    case 'load':
      return load(chosen, files);
    case 'kubectl':
      return kubectl(chosen, kubectlArgs);
    case 'help':
      process.stdout.write(USAGE);
      return 0;
    default:
      throw new UsageError(`unknown command "${command}"`);
  }
}

async function up(name: string, node: boolean, options: FindOptions): Promise<number> {
  const dir = folderOf(name);
  return exclusively(name, async () => {
    const state = readState(dir);
    if (isUp(state) && (!node || nodeIsUp(dir))) {
      say(`Cluster "${name}" is already running.`);
    } else {
      if (state !== undefined) say(`Cluster "${name}" exists and keeps its data.`);
      await endRecordedNode(dir);
      const binaries = await findBinaries(say, { ...options, node });
      // The guard of the start ends its programs when this process ends.
      using _interruption = onInterruption(() =>
        say(
          `Interrupted: the programs of cluster "${name}" end. Remove its data with: npm run cluster -- down${flagOf(name)}`,
        ),
      );
      await (node ? startNode : startControlPlane)({ dir, log: say, binaries });
      say(`Cluster "${name}" is running in the background${node ? ', with one node' : ''}.`);
    }
    await printNextSteps(name);
    return 0;
  });
}

async function printNextSteps(name: string): Promise<void> {
  const { kubectl } = await findBinaries(say);
  const kubeconfig = kubeconfigOf(name);
  const flag = flagOf(name);
  say(`
  kubeconfig  ${kubeconfig}
  kubectl     npm run --silent cluster --${flag} kubectl get namespaces
  or          export KUBECONFIG='${kubeconfig}' PATH='${dirname(kubectl)}':"$PATH"
  install     npm run --silent cluster --${flag} kubectl apply -k deploy
  operator    npm start -- --kubeconfig '${kubeconfig}'
  stop        npm run cluster -- down${flag}
`);
}

async function down(name: string): Promise<number> {
  if (!existsSync(folderOf(name))) {
    say(`Cluster "${name}" does not exist.`);
    return 0;
  }
  return exclusively(name, async () => {
    await endRecordedNode(folderOf(name));
    await endRecorded(folderOf(name));
    rmSync(folderOf(name), { recursive: true, force: true });
    say(`Cluster "${name}" is stopped and its data removed.`);
    return 0;
  });
}

function status(name: string | undefined): number {
  const entries = existsSync(CLUSTERS) ? readdirSync(CLUSTERS, { withFileTypes: true }) : [];
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const chosen = name === undefined ? names : names.filter((other) => other === name);
  if (chosen.length === 0) say(name === undefined ? 'No cluster exists.' : `Cluster "${name}" does not exist.`);
  let anyUp = false;
  for (const each of chosen) {
    const state = readState(folderOf(each));
    const running = isUp(state);
    anyUp ||= running;
    const nodes = running && nodeIsUp(folderOf(each)) ? ', one node' : '';
    const where = running ? `running   https://127.0.0.1:${state.port}${nodes}` : 'stopped  ';
    say(`${each.padEnd(16)}  ${where}  ${folderOf(each)}`);
  }
  return anyUp ? 0 : 1;
}

function printKubeconfig(name: string): number {
  if (!requireUp(name)) return 1;
  say(kubeconfigOf(name));
  return 0;
}

async function load(name: string, files: readonly string[]): Promise<number> {
  if (!requireUp(name)) return 1;
  const dir = folderOf(name);
  if (!nodeIsUp(dir)) {
    console.error(`Cluster "${name}" has no node. Start one with: npm run cluster -- up --node${flagOf(name)}`);
    return 1;
  }
  try {
    for (const file of files) say(await loadIntoNode(dir, file));
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

async function kubectl(name: string, args: readonly string[]): Promise<number> {
  if (!requireUp(name)) return 1;
  const { kubectl: program } = await findBinaries((line) => console.error(line));
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: kubectlEnvironment(folderOf(name), kubeconfigOf(name)),
  });
  // The terminal sends Ctrl-C to kubectl, too. This process exits when kubectl does.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function requireUp(name: string): boolean {
  const running = isUp(readState(folderOf(name)));
  if (!running) console.error(`Cluster "${name}" is not running. Start it with: npm run cluster -- up${flagOf(name)}`);
  return running;
}

function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(CLUSTERS, { recursive: true, mode: 0o700 });
  const waiting = (): void => say(`Another process is changing cluster "${name}"; waiting for it.`);
  return withLock(`${folderOf(name)}.lock`, waiting, work);
}

const flagOf = (name: string): string => (name === 'default' ? '' : ` --name ${name}`);
const folderOf = (name: string): string => join(CLUSTERS, name);
const kubeconfigOf = (name: string): string => join(folderOf(name), 'kubeconfig');
const say = (line: string): void => console.log(line);

try {
  process.exitCode = await run(parse(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`);
  else console.error(error instanceof BinariesError ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
