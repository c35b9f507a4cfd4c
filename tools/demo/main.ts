// npm run demo: installs the operator, connects two programs with mutual TLS and rotates their certificates. Checks each step.

import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';

import { guardFolder } from '../controlplane/guard.ts';
import { type DemoCluster, inspectCluster, intentions, startOwnCluster, type UserCluster } from './cluster.ts';
import { runNodeSteps, startNodeStage } from './node-story.ts';
import { createScreen } from './screen.ts';
import { runSteps, type Scene } from './story.ts';

const USAGE = `usage: npm run demo [-- [--once] [[--node] [--download] | --context NAME [--yes]]]

Starts a Kubernetes control plane, installs the operator, and connects two programs with mutual TLS.
The demo runs until you press Ctrl-C. It then stops and removes everything that it created.

  --once          run the steps, then exit with code 0, or with code 1 and the reason
  --node          run the operator and the programs in pods, on a node with kubelet and containerd (Linux, as root)
  --download      use the official release files of Kubernetes and etcd instead of building both with Go
  --context NAME  use the cluster of this kubeconfig context; the demo lists its changes and asks first;
                  Events of the demo may remain in the cluster until they expire
  --yes           do not ask before using that cluster
`;

const screen = createScreen(process.stdout);

class UsageError extends Error {}

/** A signal asked the demo to end. */
class Interrupted extends Error {}

interface Request {
  readonly once: boolean;
  readonly yes: boolean;
  readonly download: boolean;
  readonly node: boolean;
  readonly context: string | undefined;
}

function parse(argv: readonly string[]): Request | 'help' {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        once: { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        download: { type: 'boolean', default: false },
        node: { type: 'boolean', default: false },
        context: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.node && values.context !== undefined)
      throw new UsageError('--node starts a cluster: leave --context out');
    return values.help ? 'help' : { ...values, context: values.context };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** The user's cluster, once the demo may change it. */
let userCluster: UserCluster | undefined;

/** Rejects at the first signal. A second signal exits at once, for a user who does not want to wait for the cleanup. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    let interruptedAtMs: number | undefined;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        const now = performance.now();
        // The terminal and npm may both deliver the same Ctrl-C.
        if (interruptedAtMs !== undefined && now - interruptedAtMs <= 1000) return;
        if (interruptedAtMs !== undefined) exitAtOnce();
        interruptedAtMs = now;
        screen.note();
        screen.note('Stopping, and removing what the demo has created. Press Ctrl-C again to exit at once.');
        reject(new Interrupted());
      });
    }
  });
}

/** Prints the commands that remove the rest from the user's cluster. The guard ends the programs of the demo. */
function exitAtOnce(): never {
  const remaining = userCluster?.remaining() ?? [];
  if (remaining.length > 0) screen.note('These objects are still in the cluster. Remove them with:');
  for (const line of remaining) screen.command(line);
  process.exit(130);
}

async function chooseCluster(
  { context, download, yes }: Request,
  cleanup: AsyncDisposableStack,
): Promise<DemoCluster | undefined> {
  if (context === undefined) {
    screen.step('Start a Kubernetes control plane');
    const cluster = await startOwnCluster(screen, cleanup, { download });
    screen.fact('etcd, kube-apiserver and kube-controller-manager run on 127.0.0.1, with RBAC, without nodes');
    return cluster;
  }
  screen.step(`Use the cluster of context ${context}`);
  const cluster = await screen.during('checking the cluster', inspectCluster(context, screen));
  screen.note('The demo will:');
  for (const line of intentions(cluster)) screen.note(`  ${line}`);
  if (!yes && !(await isAgreed())) return undefined;
  userCluster = cluster;
  cleanup.defer(async () => {
    try {
      await screen.during('removing what the demo has created', cluster.remove());
    } catch (error) {
      const commands = cluster.remaining().map((line) => `\n  ${line}`);
      throw new Error(
        `${(error as Error).message}\nThe rest is still in the cluster. Remove it with:${commands.join('')}`,
        {
          cause: error,
        },
      );
    }
  });
  return cluster;
}

async function isAgreed(): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError('cannot ask for your consent without a terminal: add --yes');
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  // While the prompt is open, Ctrl-C does not raise a signal.
  prompt.once('SIGINT', () => prompt.close());
  const ended = once(prompt, 'close').then(() => '');
  const answer = await Promise.race([prompt.question('   Continue? [y/N] '), ended]);
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** Prints commands to try and shows the state of the scene, until a program ends. */
async function stayUp(
  { kubectlPrefix, shellSetup }: DemoCluster,
  { commands, follow }: Scene,
  cleanup: AsyncDisposableStack,
): Promise<never> {
  screen.step('Try these commands in another terminal');
  for (const line of shellSetup) screen.command(line);
  for (const line of commands) screen.command(`${kubectlPrefix} ${line}`);
  screen.note();
  screen.note('Press Ctrl-C to stop and remove everything.');
  screen.note();

  const { rows, programs } = follow(cleanup);
  const view = screen.live(rows);
  cleanup.defer(() => view.end());
  const ended = await Promise.race(programs.map((program) => program.exited.then(() => program)));
  throw new Error(`a program of the demo ended; the end of its output:\n${ended.tail()}`);
}

/** Runs the request; returns the exit code. */
async function run(request: Request): Promise<number> {
  screen.title('mtls-operator: mutual TLS in Kubernetes. Each ✓ marks a fact that the demo has verified.');
  const interrupted = interruption();
  interrupted.catch(() => {});
  let isComplete = false;
  try {
    await using cleanup = new AsyncDisposableStack();
    const demo = async (): Promise<void> => {
      const { cluster, scene } = (await (request.node ? onNode : onCluster)(request, cleanup)) ?? {};
      if (cluster === undefined || scene === undefined) return;
      isComplete = true;
      if (!request.once) await stayUp(cluster, scene, cleanup);
    };
    await Promise.race([demo(), interrupted]);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    if (!isComplete) screen.title('\nInterrupted. The demo has removed everything that it created.');
    // The guard ends programs that are still starting.
    if (!isComplete) process.exit(130);
  }
  if (!isComplete) return 1;
  screen.title('\nDone. The demo has removed everything that it created.');
  return 0;
}

interface Played {
  readonly cluster: DemoCluster;
  readonly scene: Scene;
}

/** Runs the steps with programs on this machine. Undefined if the user does not want them. */
async function onCluster(request: Request, cleanup: AsyncDisposableStack): Promise<Played | undefined> {
  const cluster = await chooseCluster(request, cleanup);
  if (cluster === undefined) return undefined;
  return { cluster, scene: await runSteps({ cluster, screen, folder: demoFolder(), cleanup }) };
}

/** Runs the steps with pods on a node. */
async function onNode({ download }: Request, cleanup: AsyncDisposableStack): Promise<Played> {
  screen.step('Start a Kubernetes control plane and a node');
  const stage = await startNodeStage(screen, cleanup, { download });
  return { cluster: stage.cluster, scene: await runNodeSteps(stage) };
}

/** A folder for keys that only this user can read. It is removed at the latest when this process ends. */
function demoFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mtls-demo-'));
  guardFolder(folder);
  return folder;
}

/** The first error, followed by the errors of the cleanup. */
function reasonsIn(error: unknown): string[] {
  if (error instanceof SuppressedError) return [...reasonsIn(error.suppressed), ...reasonsIn(error.error)];
  return [error instanceof Error ? error.message : String(error)];
}

try {
  const request = parse(process.argv.slice(2));
  if (request === 'help') process.stdout.write(USAGE);
  else process.exitCode = await run(request);
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`);
  else for (const reason of reasonsIn(error)) screen.failure(reason);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
