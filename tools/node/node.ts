import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findBinaries, findNodeBinaries } from '../controlplane/binaries.ts';
import type { CommandResult } from '../controlplane/command.ts';
import { type Component, startComponent, stopComponents, waitUntilReady } from '../controlplane/component.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  egressSocketIn,
  startControlPlane,
} from '../controlplane/controlplane.ts';
import { credentialsIn, NODE_NAME, writeKubeconfig } from '../controlplane/credentials.ts';
import { Guard, lifelongGuard } from '../controlplane/guard.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { isRunning, signalProcess } from '../controlplane/processes.ts';
import { BinariesError } from '../controlplane/programs.ts';
import { replaceFile } from '../controlplane/state.ts';
import { cgroupFolders, cgroupRoot, createCgroup, removeCgroups, unifiedGroup } from './cgroups.ts';
import { type Containerd, importArchive, startContainerd } from './containerd.ts';
import { busyboxImage, type ImageSpec, pauseImage } from './image.ts';
import { startKubelet } from './kubelet.ts';
import {
  API_SERVICE_IP,
  CLUSTER_DOMAIN,
  childrenOf,
  DNS_IP,
  endSandbox,
  INIT_NAME,
  type InsideProgram,
  NODE_IP,
  type RecordedProcess,
  type Sandbox,
  sandboxOf,
  startSandbox,
} from './sandbox.ts';
import { nodeUnavailable, pluginFolder, programPath } from './unavailable.ts';

export type { ImageFile, ImageSpec } from './image.ts';
export { nodeUnavailable } from './unavailable.ts';

const RELAY = fileURLToPath(new URL('relay.ts', import.meta.url));
const SERVICES = fileURLToPath(new URL('services.ts', import.meta.url));

export interface NodeOptions extends Omit<ControlPlaneOptions, 'guard' | 'ipv6' | 'nodes'> {
  /** Images that pods can use in addition to `localhost/busybox:1`, with `imagePullPolicy: Never`. */
  readonly images?: readonly ImageSpec[];
  /** How often kubelet compares a pod and its volumes with the API server; `1s` by default, kubelet's own default is 1m. */
  readonly syncFrequency?: string;
}

/** A control plane with a node that runs pods: kubelet, containerd and runc in namespaces of their own. */
export interface TestNode extends ControlPlane {
  readonly nodeName: string;
  /** The address of the node, and of pods with `hostNetwork`, in the node's own network. */
  readonly nodeIp: string;
  /** The folder of the node's files. */
  readonly nodeDir: string;
  /** The name of the node's cgroup, which is at the top of every hierarchy. */
  readonly cgroup: string;
  /** The file with kubelet's output. A restart begins it again. */
  readonly kubeletLog: string;
  /** Makes an image available to pods and returns its name. */
  loadImage(image: ImageSpec): Promise<string>;
  /** Makes the images of an archive available to pods (OCI image layout, or that of Docker). */
  importImages(archive: string): Promise<void>;
  /** Stops only kubelet. Containers keep running. */
  stopKubelet(): Promise<void>;
  startKubelet(): Promise<void>;
  restartKubelet(): Promise<void>;
  /** Connects to an address in the node's network, for example a pod's. */
  connect(host: string, port: number): Promise<Socket>;
  /** Runs a command in the node's namespaces. A failing command is a result, not an error. */
  run(command: string, args: readonly string[]): Promise<CommandResult>;
}

/** Starts a control plane with a node and waits until the node is ready. Throws a BinariesError if this machine cannot run one. */
export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const { images = [], syncFrequency = '1s', dir, log = () => {}, ...rest } = options;
  const machine = requireMachine();
  const binaries = options.binaries ?? (await findBinaries(log, { node: true }));
  const { kubelet: program } = await findNodeBinaries(binaries, log);
  const temporary = dir === undefined;
  const guard = temporary ? lifelongGuard : new Guard();
  const folder = temporary ? mkdtempSync(join(tmpdir(), 'mtls-node-')) : join(dir, 'node');
  if (temporary) guard.folder(folder);
  else await endRecordedNode(dir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });

  // Everything is recorded before it exists, so that endRecordedNode finds it after a crash at any moment.
  const cgroup = `mtls-node-${randomBytes(6).toString('hex')}`;
  const processes: RecordedProcess[] = [];
  const save = (isComplete: boolean): void => writeState(folder, { cgroup, processes, isComplete });
  const record = (process: RecordedProcess): void => {
    processes.push(process);
    save(false);
  };
  save(false);
  guard.cgroups(cgroupFolders(cgroup));

  await using cleanup = new AsyncDisposableStack();
  if (temporary) cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  cleanup.defer(() => removeCgroups(cgroupFolders(cgroup)));
  createCgroup(cgroup);

  log('Starting a node with kube-scheduler, containerd and kubelet...');
  async function startRuntime(): Promise<{ sandbox: Sandbox; containerd: Containerd }> {
    const sandbox = await startSandbox(folder, { guard, record, group: unifiedGroup(cgroup) });
    cleanup.defer(() => endSandbox(sandbox.init));
    const containerd = await startContainerd(sandbox, folder, machine.plugins);
    const own = [pauseImage(machine.busybox), await busyboxImage(machine.busybox)];
    for (const image of [...own, ...images]) await containerd.load(image);
    return { sandbox, containerd };
  }

  const starting = [
    startControlPlane({ ...rest, binaries, log, nodes: true, ...(temporary ? {} : { dir, guard }) }),
    startRuntime(),
  ] as const;
  const [controlPlane, { sandbox, containerd }] = await Promise.all(starting).catch(async (error: unknown) => {
    const [started] = await Promise.allSettled(starting);
    if (started.status === 'fulfilled') await started.value.stop();
    throw error;
  });
  cleanup.defer(() => controlPlane.stop());

  const egress = egressSocketIn(controlPlane.dir);
  const relay = await startRelays({ sandbox, folder, guard, record, egress, server: controlPlane.server });
  cleanup.defer(() => stopComponents([relay]));
  sandbox.start('services', process.execPath, [SERVICES, controlPlane.kubeconfig, DNS_IP, CLUSTER_DOMAIN]);

  const kubeconfig = join(folder, 'kubelet.kubeconfig');
  const ca = readFileSync(join(controlPlane.dir, 'certificates', 'apiserver.crt'), 'utf8');
  writeKubeconfig(kubeconfig, controlPlane.server, ca, controlPlane.tokenOf(`system:node:${NODE_NAME}`));
  const start = (): Promise<InsideProgram> =>
    startKubelet(sandbox, folder, {
      program,
      nodeName: NODE_NAME,
      kubeconfig,
      clientCertificate: credentialsIn(controlPlane.dir).kubeletClient.certificateFile,
      cgroupRoot: cgroupRoot(cgroup),
      syncFrequency,
    });
  let kubelet: InsideProgram | undefined = await start();
  await waitForNode(controlPlane);
  save(true);
  if (!temporary) guard.release();

  const running = cleanup.move();
  return {
    ...controlPlane,
    nodeName: NODE_NAME,
    nodeIp: NODE_IP,
    nodeDir: folder,
    cgroup,
    kubeletLog: kubelet.log,
    async loadImage(image) {
      await containerd.load(image);
      return image.name;
    },
    importImages: (archive) => containerd.importArchive(archive),
    stopKubelet,
    startKubelet: startAgain,
    async restartKubelet() {
      await stopKubelet();
      await startAgain();
    },
    connect: (host, port) => connectThrough(egress, host, port),
    run: sandbox.run,
    stop: () => running.disposeAsync(),
  };

  async function stopKubelet(): Promise<void> {
    await kubelet?.stop();
    kubelet = undefined;
  }

  async function startAgain(): Promise<void> {
    kubelet ??= await start();
  }
}

/** What a node needs of this machine. Throws a BinariesError when it is missing. */
function requireMachine(): { plugins: string; busybox: string } {
  const why = nodeUnavailable();
  if (why !== undefined) throw new BinariesError(`This machine cannot run a node: ${why}.`);
  return { plugins: pluginFolder() ?? '', busybox: programPath('busybox') ?? '' };
}

interface RelayOptions {
  readonly sandbox: Sandbox;
  readonly folder: string;
  readonly guard: Guard;
  readonly record: (process: RecordedProcess) => void;
  readonly egress: string;
  /** URL of the API server. */
  readonly server: string;
}

/** Connects the networks of the machine and the node. Returns the relay on the machine; the other one ends with the sandbox. */
async function startRelays({ sandbox, folder, guard, record, egress, server }: RelayOptions): Promise<Component> {
  const socket = join(folder, 'api.sock');
  const { host } = new URL(server);
  rmSync(egress, { force: true });
  const outside = startComponent(process.execPath, [RELAY, 'machine', socket, host], {
    dir: folder,
    guard,
    record,
    name: 'relay',
  });
  await waitUntilReady(outside, async () => existsSync(socket));
  const addresses = [host, `${API_SERVICE_IP}:443`];
  const inside = sandbox.start('inner-relay', process.execPath, [RELAY, 'node', socket, egress, ...addresses]);
  await inside.waitUntilReady(async () => existsSync(egress));
  return outside;
}

/** Waits until pods can be scheduled to the node. */
async function waitForNode({ kubectl }: ControlPlane): Promise<void> {
  // kubelet is healthy before it has created the Node.
  for (const state of ['create', 'condition=Ready']) {
    const { code, stderr } = await kubectl(['wait', 'node', NODE_NAME, `--for=${state}`, '--timeout=120s']);
    if (code !== 0) throw new Error(`the node is not ready: ${stderr}`);
  }
}

/** A connection to an address in the node's network, through the HTTP proxy on `path`. */
async function connectThrough(path: string, host: string, port: number): Promise<Socket> {
  const socket = connectSocket(path);
  await once(socket, 'connect');
  socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
  let reply = '';
  while (!reply.includes('\r\n\r\n')) {
    // Byte by byte to the end of the headers: what follows belongs to the caller.
    const byte = socket.read(1) as Buffer | null;
    if (byte === null) await once(socket, 'readable');
    else reply += byte.toString('latin1');
  }
  if (!reply.startsWith('HTTP/1.1 200')) {
    socket.destroy();
    throw new Error(`cannot connect to ${host}:${port} in the node's network: ${reply.split('\r\n')[0]}`);
  }
  return socket;
}

/** The record of the node that was last started in a folder. */
interface NodeState {
  readonly cgroup: string;
  /** The processes on the machine, and process 1 of the sandbox. All others of the node end with them. */
  readonly processes: readonly RecordedProcess[];
  /** Whether the node was ready. */
  readonly isComplete: boolean;
}

const statePath = (folder: string): string => join(folder, 'state.json');

function writeState(folder: string, state: NodeState): void {
  replaceFile(statePath(folder), JSON.stringify(state));
}

function readState(dir: string): NodeState | undefined {
  const path = statePath(join(dir, 'node'));
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as NodeState) : undefined;
}

/** Whether the node of the control plane in this folder is running. */
export const nodeIsUp = (dir: string): boolean => isUp(readState(dir));

const isUp = (state: NodeState | undefined): state is NodeState =>
  state?.isComplete === true && state.processes.every(isRunning);

/**
 * Makes the images of an archive available to the pods of the running node of this control plane. Returns what containerd prints about
 * them. Throws if no node runs there, or containerd refuses the archive.
 */
export async function loadIntoNode(dir: string, archive: string): Promise<string> {
  const state = readState(dir);
  const init = isUp(state) ? state.processes.find(({ name }) => name === INIT_NAME) : undefined;
  if (init === undefined) throw new Error('no node runs in this cluster');
  return importArchive(sandboxOf(init, join(dir, 'node')), archive);
}

/** Ends the node that was last started in this folder of a control plane, whether its start was complete or not, and removes its files. */
export async function endRecordedNode(dir: string): Promise<void> {
  const state = readState(dir);
  if (state !== undefined) {
    // The children, because process 1 of the sandbox may not be recorded yet.
    const processes = state.processes.flatMap((process) => [process, ...childrenOf(process)]);
    for (const process of processes) signalProcess(process, 'SIGKILL');
    await pollUntil(() => !processes.some(isRunning), 30_000);
    await removeCgroups(cgroupFolders(state.cgroup));
  }
  rmSync(join(dir, 'node'), { recursive: true, force: true });
}
