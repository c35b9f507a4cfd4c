import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type FindOptions, findBinaries } from '../controlplane/binaries.ts';
import { output } from '../controlplane/command.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { goTool } from '../go-tools/go-tools.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { OPERATOR_NAMESPACE } from '../operator.ts';
import { type Program, startCommand } from '../program.ts';
import type { DemoCluster } from './cluster.ts';
import { SHOP } from './footprint.ts';
import { operatorImage, programImage } from './images.ts';
import { followObjects, type Objects, short } from './objects.ts';
import { type Accepted, type Call, callsOf, type Refused, reasonOf } from './peers.ts';
import type { Row, Screen } from './screen.ts';
import { callRow, type Scene, showRoot } from './story.ts';

/** The inputs of the demo on a node. */
export interface NodeStage {
  readonly cluster: DemoCluster;
  readonly node: TestNode;
  readonly screen: Screen;
  readonly cleanup: AsyncDisposableStack;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CHART = join(ROOT, 'deploy/helm/mtls-operator');
const SERVER_NAME = 'payments.shop.svc';
const CLIENTS = ['checkout', 'ledger'] as const;

type Client = (typeof CLIENTS)[number];

/** Generous, for slow machines. */
const DEADLINE_MS = 120_000;

/** Starts a control plane with a node. It is removed with its data at the latest when this process ends. */
export async function startNodeStage(
  screen: Screen,
  cleanup: AsyncDisposableStack,
  options: FindOptions,
): Promise<NodeStage> {
  const binaries = await findBinaries((line) => screen.note(line), { ...options, node: true });
  const images = [await screen.during('compiling the operator', operatorImage()), programImage()];
  const log = (line: string): void => (line.startsWith('Starting') ? undefined : screen.note(line));
  const node = await screen.during('starting the control plane and the node', startNode({ binaries, images, log }));
  cleanup.defer(() => screen.during('stopping the node and the control plane', node.stop()));
  const { kubeconfig } = node;
  const kubectl = async (args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await node.kubectl(args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} failed: ${stderr.trim()}`);
    return stdout;
  };
  const cluster: DemoCluster = {
    connection: { kubeconfig },
    shellSetup: [`export KUBECONFIG='${kubeconfig}'`, `export PATH='${dirname(binaries.kubectl)}':"$PATH"`],
    kubectlPrefix: 'kubectl',
    isOwn: true,
    hasOperator: false,
    kubectl,
  };
  screen.fact('etcd, kube-apiserver, kube-controller-manager and kube-scheduler run on 127.0.0.1');
  const versions = '{.status.nodeInfo.kubeletVersion} {.status.nodeInfo.containerRuntimeVersion}';
  const [kubelet, runtime] = (await kubectl(['get', 'node', node.nodeName, `-o=jsonpath=${versions}`])).split(' ');
  screen.fact(`the node ${node.nodeName} is Ready: kubelet ${kubelet} and ${runtime?.replace('://', ' ')}`);
  screen.note('It has mounts, processes and a network of its own. This machine does not see them.');
  return { cluster, node, screen, cleanup };
}

/** Runs all steps on the node. Throws at the first check that fails. */
export async function runNodeSteps(stage: NodeStage): Promise<Scene> {
  const { cluster, screen, cleanup } = stage;
  screen.step('Install the operator as a pod');
  await install(stage);
  const objects = await followObjects(cluster.connection, cleanup);

  screen.step('Create a root');
  await showRoot({ ...stage, folder: '' }, objects);

  screen.step('Run pods with certificates, two of them without a Secret');
  await runPods(stage, objects);

  screen.step('Connect the pods with mutual TLS');
  const clients = await connect(stage, objects);

  screen.step('Refuse other pods');
  await refuse(stage);

  screen.step('Replace all certificates while the pods call each other');
  await replace(stage, clients);
  return {
    commands: [
      `-n ${SHOP} get pods -o wide`,
      `-n ${SHOP} exec deploy/payments -- /nodejs/bin/node -p 'fs.readdirSync("/tls")'`,
      `-n ${SHOP} logs deploy/checkout --tail=1`,
      'get podcertificaterequests -A',
      'get clustertrustbundles',
      'get mauth default -o yaml',
      `-n ${SHOP} annotate mcert ledger mtls-operator.io/rotate=again --overwrite`,
    ],
    follow: () => ({
      rows: () => [...objects.rows(), ...CLIENTS.map((name) => callRow(clients[name](), `${name} → payments`))],
      programs: [],
    }),
  };
}

async function install({ cluster, node, screen }: NodeStage): Promise<void> {
  const helm = await goTool('helm', (line) => screen.note(line));
  const set = 'podCertificates.enabled=true,image.repository=localhost/mtls-operator,image.tag=demo';
  screen.command('helm install mtls-operator deploy/helm/mtls-operator -n mtls-operator --create-namespace \\');
  screen.note(`    --set ${set}`);
  const args = [
    'install',
    'mtls-operator',
    CHART,
    `--namespace=${OPERATOR_NAMESPACE}`,
    '--create-namespace',
    `--set=${set}`,
  ];
  const installed = output(helm, args, { env: { ...process.env, KUBECONFIG: node.kubeconfig } });
  const { code, stderr } = await screen.during('installing the chart', installed);
  assert.equal(code, 0, `helm install failed: ${stderr}`);
  const rollout = ['rollout', 'status', 'deployment/mtls-operator', '--timeout=120s'];
  await screen.during('starting the operator', cluster.kubectl([`-n=${OPERATOR_NAMESPACE}`, ...rollout]));
  const pods = await podsOf(cluster, OPERATOR_NAMESPACE);
  assert.ok(pods.some(isReady));
  screen.fact(`the operator has ${pods.length} pods, with the rights and limits of the chart`);
}

async function runPods({ cluster, screen }: NodeStage, objects: Objects): Promise<void> {
  const patch = 'tools/demo/pod-certificates.yaml';
  screen.command(`kubectl patch mauth default --type=merge --patch-file ${patch}`);
  await cluster.kubectl(['patch', 'mauth', 'default', '--type=merge', '--patch-file', join(ROOT, patch)]);
  screen.command(`kubectl create namespace ${SHOP}`);
  await cluster.kubectl(['create', 'namespace', SHOP]);
  screen.command('kubectl apply -f tools/demo/pods.yaml');
  const started = performance.now();
  await cluster.kubectl(['apply', '-f', join(ROOT, 'tools/demo/pods.yaml')]);
  let pods: readonly Pod[] = [];
  const view = screen.live(() => [...objects.rows(), ...pods.map(podRow)]);
  const areReady = await pollUntil(
    async () => {
      pods = await podsOf(cluster, SHOP);
      return pods.length === 3 && pods.every(isReady);
    },
    DEADLINE_MS,
    250,
  );
  view.end();
  assert.ok(areReady, `the pods are not ready:\n${await cluster.kubectl(['-n', SHOP, 'describe', 'pods'])}`);
  screen.fact(`${((performance.now() - started) / 1000).toFixed(1)} s after kubectl apply, all pods are ready`);
  const secrets = (await cluster.kubectl(['-n', SHOP, 'get', 'secrets', '-o=name'])).trim().split('\n');
  assert.deepEqual(secrets, ['secret/ledger-client-tls']);
  screen.fact('the namespace has one Secret, for ledger: payments and checkout need none');
  screen.note('  kubelet created their keys, the operator signed them, and kubelet will renew the certificates');
}

async function connect({ screen, node, cleanup }: NodeStage, objects: Objects): Promise<Record<Client, Calls>> {
  const trustDomain = objects.authority('default')?.spec.trustDomain;
  const follow = (name: Client): Calls => followCalls(node, name, cleanup);
  const clients = { checkout: follow('checkout'), ledger: follow('ledger') };
  for (const name of CLIENTS) {
    const first = pollUntil(() => accepted(clients[name]) !== undefined, DEADLINE_MS);
    await screen.during(`waiting for a call of ${name}`, first);
    const call = accepted(clients[name]);
    assert.ok(call !== undefined, `${name} was not accepted: ${reasonOf(clients[name]().at(-1)?.refused)}`);
    assert.equal(call.protocol, 'TLSv1.3');
    assert.ok(call.server.names.includes(SERVER_NAME), `the server has the names ${call.server.names.join(', ')}`);
    assert.deepEqual(call.client.names, [`spiffe://${trustDomain}/ns/${SHOP}/sa/${name}`]);
    screen.fact(`${name} → payments: connected with TLS 1.3`);
    screen.note(`  the client verified the server: ${SERVER_NAME}   serial ${short(call.server.serial)}`);
    screen.note(`  the server verified the client: ${call.client.names[0]}`);
  }
  return clients;
}

async function refuse({ cluster, screen }: NodeStage): Promise<void> {
  screen.command('kubectl apply -f tools/demo/impostors.yaml');
  await cluster.kubectl(['apply', '-f', join(ROOT, 'tools/demo/impostors.yaml')]);
  const hasEnded = pollUntil(
    async () => (await podOf(cluster, 'anonymous'))?.status.phase === 'Succeeded',
    DEADLINE_MS,
    250,
  );
  await screen.during('waiting for the pod anonymous', hasEnded);
  const log = await cluster.kubectl(['-n', SHOP, 'logs', 'anonymous']);
  const { refused } = JSON.parse(log) as { refused?: Refused };
  assert.match(reasonOf(refused), /certificate required/, log);
  screen.fact('refused by payments: a pod that presents no certificate');
  screen.note(`  client error: ${reasonOf(refused)}`);

  let event: string | undefined;
  const isReported = pollUntil(
    async () => {
      event = await warningOf(cluster, 'impostor');
      return event !== undefined;
    },
    DEADLINE_MS,
    250,
  );
  await screen.during('waiting for an event', isReported);
  assert.ok(event !== undefined, 'the operator has not reported the pod impostor');
  screen.fact('refused by the operator: a pod that asks for the name of a Service which does not select it');
  for (const line of wrapped(event, 90)) screen.note(`  ${line}`);
  assert.equal((await podOf(cluster, 'impostor'))?.status.phase, 'Pending');
}

/** Rotates the certificate of ledger, and makes kubelet ask for those of the others again. */
async function replace({ cluster, node, screen }: NodeStage, clients: Record<Client, Calls>): Promise<void> {
  const before = { checkout: accepted(clients.checkout), ledger: accepted(clients.ledger) };
  const restarts = await restartsOf(cluster);
  const counts = { checkout: clients.checkout().length, ledger: clients.ledger().length };
  screen.command(`kubectl -n ${SHOP} annotate mcert ledger mtls-operator.io/rotate=demo-1`);
  await cluster.kubectl(['-n', SHOP, 'annotate', 'mcert', 'ledger', 'mtls-operator.io/rotate=demo-1']);
  screen.note('kubelet restarts. It has keys only in memory, so it asks for new certificates for all pods:');
  await screen.during('restarting kubelet', node.restartKubelet());
  const isNew = (): boolean => {
    const [one, other] = [accepted(clients.checkout), accepted(clients.ledger)];
    if (one === undefined || other === undefined) return false;
    return (
      one.client.serial !== before.checkout?.client.serial &&
      one.server.serial !== before.checkout?.server.serial &&
      other.client.serial !== before.ledger?.client.serial
    );
  };
  const replaced = await screen.during('waiting for calls with new certificates', pollUntil(isNew, DEADLINE_MS));
  assert.ok(replaced, 'the pods do not use new certificates');
  const [checkout, ledger] = [accepted(clients.checkout), accepted(clients.ledger)];
  const shown = (name: string, old?: string, now?: string): void =>
    screen.fact(`${name.padEnd(8)}  ${short(old ?? '')} → ${short(now ?? '')}`);
  shown('payments', before.checkout?.server.serial, checkout?.server.serial);
  shown('checkout', before.checkout?.client.serial, checkout?.client.serial);
  shown('ledger', before.ledger?.client.serial, ledger?.client.serial);
  const calls = CLIENTS.flatMap((name) => clients[name]().slice(counts[name]));
  const refused = calls.flatMap((call) => call.refused ?? []);
  assert.equal(refused.length, 0, `a call failed: ${refused.map(reasonOf)[0]}`);
  assert.deepEqual(await restartsOf(cluster), restarts);
  screen.fact(`${calls.length} calls meanwhile: none refused, no container restarted`);
}

/** The calls of a client so far. */
type Calls = () => readonly Call[];

/** Follows the log of a client. kubectl ends when kubelet does. The next one prints the log from its beginning. */
function followCalls({ binaries, kubeconfig }: TestNode, name: Client, cleanup: AsyncDisposableStack): Calls {
  const args = [`--kubeconfig=${kubeconfig}`, `--namespace=${SHOP}`, 'logs', '--follow', `deploy/${name}`];
  const over = new AbortController();
  const start = (): Program => startCommand(binaries.kubectl, args);
  let program = start();
  const keepFollowing = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await program.exited;
      await delay(500, undefined, { signal: over.signal });
      program = start();
    }
  };
  const following = keepFollowing().catch(() => {});
  cleanup.defer(async () => {
    over.abort();
    await program.kill();
    await following;
  });
  return () => callsOf(program);
}

const accepted = (calls: Calls): Accepted | undefined => calls().at(-1)?.accepted;

/** The fields of a pod that the demo reads. */
interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

async function podsOf(cluster: DemoCluster, namespace: string): Promise<readonly Pod[]> {
  const { items } = JSON.parse(await cluster.kubectl(['-n', namespace, 'get', 'pods', '-o=json'])) as { items: Pod[] };
  return items;
}

const podOf = async (cluster: DemoCluster, name: string): Promise<Pod | undefined> =>
  (await podsOf(cluster, SHOP)).find(({ metadata }) => metadata.name === name);

const isReady = ({ status }: Pod): boolean =>
  status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;

function podRow(pod: Pod): Row {
  const name = `pod/${pod.metadata.name.split('-')[0]}`;
  const [state, word] = isReady(pod) ? (['good', 'Ready'] as const) : (['waiting', pod.status.phase] as const);
  return { state, text: `${name.padEnd(27)} ${word}` };
}

const restartsOf = async (cluster: DemoCluster): Promise<readonly number[]> =>
  (await podsOf(cluster, SHOP)).flatMap(({ status }) => status.containerStatuses?.map((one) => one.restartCount) ?? []);

/** The message of the operator's Warning for a pod. */
async function warningOf(cluster: DemoCluster, pod: string): Promise<string | undefined> {
  const selector = `--field-selector=involvedObject.name=${pod},type=Warning`;
  const { items } = JSON.parse(await cluster.kubectl(['-n', SHOP, 'get', 'events', selector, '-o=json'])) as {
    items: readonly { message: string; reportingComponent: string }[];
  };
  return items.find(({ reportingComponent }) => reportingComponent.startsWith('mtls-operator'))?.message;
}

/** The text in lines of at most this many characters. */
function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`.trim();
  }
  return lines;
}
