// npm run demo: from nothing to mutual TLS and a rotation, with everything that is shown checked on the way.

import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';

import { guardFolder } from '../controlplane/guard.ts';
import { type DemoCluster, intentions, lookAtCluster, removeExamples, SHOP, startOwnCluster } from './cluster.ts';
import { short } from './objects.ts';
import { callsOf, keepCalling, reasonOf } from './peers.ts';
import { createScreen, type Row } from './screen.ts';
import { type Scene, tellStory } from './story.ts';

const USAGE = `usage: npm run demo [-- [--once] [--context NAME [--yes]]]

Two programs do mutual TLS with certificates that the operator has written, on a control plane of the demo's own.
It then stays up until Ctrl-C, which ends and removes all of it.

  --once          tell the story and end: exit code 0, or 1 with the reason
  --context NAME  use the cluster of this context of your kubeconfig instead; says what it will do there, and asks
  --yes           do not ask
`;

const screen = createScreen(process.stdout);

class UsageError extends Error {}

/** Someone asked the demo to end. */
class Interrupted extends Error {}

interface Request {
  readonly once: boolean;
  readonly yes: boolean;
  readonly context: string | undefined;
}

function parse(argv: readonly string[]): Request | 'help' {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        once: { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        context: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return values.help ? 'help' : { ...values, context: values.context };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** Rejects at the first signal. A later one means that the orderly end takes too long, and ends the process at once. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    let interruptedAtMs: number | undefined;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        const now = performance.now();
        // A terminal and npm may both pass one Ctrl-C on.
        if (interruptedAtMs !== undefined && now - interruptedAtMs > 1000) process.exit(130);
        interruptedAtMs ??= now;
        reject(new Interrupted());
      });
    }
  });
}

async function chooseCluster(
  { context, yes }: Request,
  cleanup: AsyncDisposableStack,
): Promise<DemoCluster | undefined> {
  if (context === undefined) {
    screen.step('A Kubernetes control plane of its own');
    const cluster = await startOwnCluster(screen, cleanup);
    screen.fact('etcd, kube-apiserver and kube-controller-manager run on 127.0.0.1, with RBAC; there is no node');
    return cluster;
  }
  screen.step(`The cluster of context ${context}`);
  const cluster = await screen.during('looking at the cluster', lookAtCluster(context, screen));
  screen.note('The demo will');
  for (const line of intentions(cluster)) screen.note(`  ${line}`);
  if (!yes && !(await isAgreed())) return undefined;
  cleanup.defer(() => screen.during('the examples are removed', removeExamples(cluster)));
  return cluster;
}

async function isAgreed(): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError('there is no terminal to ask on: say --yes');
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  // While a question is open, Ctrl-C is a key like any other.
  prompt.once('SIGINT', () => prompt.close());
  const ended = once(prompt, 'close').then(() => '');
  const answer = await Promise.race([prompt.question('   Go on? [y/N] '), ended]);
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** Prints how to go on, and shows what happens, until something breaks down. */
async function stayUp(
  cluster: DemoCluster,
  { objects, rightCall, programs }: Scene,
  cleanup: AsyncDisposableStack,
): Promise<never> {
  const { kubectlPrefix: kubectl, shellSetup } = cluster;
  screen.step('Go on by yourself, in another terminal');
  for (const line of shellSetup) screen.command(line);
  screen.command(`${kubectl} get mtls -A -o wide`);
  screen.command(`${kubectl} -n ${SHOP} describe mcert payments`);
  screen.command(`${kubectl} -n ${SHOP} annotate mcert payments mtls-operator.io/rotate=again --overwrite`);
  screen.command(`${kubectl} -n ${SHOP} delete secret payments-server-tls`);
  screen.command(`${kubectl} explain mcert.spec`);
  screen.note();
  screen.note(cluster.isOwn ? 'Ctrl-C ends and removes all of it.' : 'Ctrl-C ends it and removes the examples.');
  screen.note();

  const caller = keepCalling(rightCall, 1000);
  cleanup.defer(async () => void (await caller.stop()));
  const callRow = (): Row => {
    const { accepted, refused } = callsOf(caller).at(-1) ?? {};
    if (refused !== undefined) return { state: 'bad', text: `the last call was refused: ${reasonOf(refused)}` };
    if (accepted === undefined) return { state: 'waiting', text: 'the client is about to call' };
    const [server, client] = [short(accepted.server.serial), short(accepted.client.serial)];
    return { state: 'good', text: `the last call: server ${server}, client ${client}` };
  };
  const view = screen.live(() => [...objects.rows(), callRow()]);
  cleanup.defer(() => view.end());
  const ended = await Promise.race([caller, ...programs].map((program) => program.exited.then(() => program)));
  throw new Error(`a program ended that was to run on:\n${ended.tail()}`);
}

/** Runs the request; returns the exit code. */
async function run(request: Request): Promise<number> {
  screen.title('mtls-operator: mutual TLS in Kubernetes. What has a ✓ was checked, not assumed.');
  const interrupted = interruption();
  interrupted.catch(() => {});
  let told = false;
  try {
    await using cleanup = new AsyncDisposableStack();
    const demo = async (): Promise<void> => {
      const cluster = await chooseCluster(request, cleanup);
      if (cluster === undefined) return;
      const scene = await tellStory({ cluster, screen, folder: demoFolder(), cleanup });
      told = true;
      if (!request.once) await stayUp(cluster, scene, cleanup);
    };
    await Promise.race([demo(), interrupted]);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    // What was being started is ended by its guard.
    if (!told) process.exit(130);
  }
  if (!told) return 1;
  screen.title(
    `\nThat is all. ${request.context === undefined ? 'Nothing of it is left.' : 'The operator stays installed.'}`,
  );
  return 0;
}

/** A folder for keys: for this user alone, and gone at the latest when this process ends. */
function demoFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mtls-demo-'));
  guardFolder(folder);
  return folder;
}

/** What went wrong first, and then what went wrong while it was tidied up. */
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
