import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { findBinaries, findNodeBinaries } from './binaries.ts';
import { type CommandResult, output } from './command.ts';
import { type Component, ComponentError, startComponent, stopComponents, waitUntilReady } from './component.ts';
import { type Credentials, credentialsIn, type User, writeKubeconfig, writeKubeletClient } from './credentials.ts';
import { Guard, lifelongGuard } from './guard.ts';
import { freePort, isFree } from './ports.ts';
import type { Binaries } from './programs.ts';
import { type Reply, request } from './request.ts';
import { endRecorded, readState, writeState } from './state.ts';

export interface ControlPlaneOptions {
  /** The programs to run; found or built by default. */
  readonly binaries?: Binaries;
  /**
   * The data folder. With a folder, the control plane keeps running after this process ends, and the next start in the same
   * folder uses its data again. If this process ends before the control plane is ready, its programs end, too. Without a folder,
   * everything is removed at the latest when this process ends.
   */
  readonly dir?: string;
  /** With a folder: ends the programs until the caller releases it; by default, until the control plane is ready. */
  readonly guard?: Guard;
  /** Listen on ::1 and use IPv6 addresses for Services; default false: 127.0.0.1 and IPv4. */
  readonly ipv6?: boolean;
  /**
   * Whether nodes may join: runs kube-scheduler and the Node authorizer with NodeRestriction, and the API server connects to
   * kubelet and pods through the HTTP proxy that listens on `egressSocket`; default false.
   */
  readonly nodes?: boolean;
  /** Receives progress for the user, line by line; ignored by default. */
  readonly log?: (line: string) => void;
  /** The API server writes the requests of members of these groups to `auditLog`; none by default. */
  readonly auditedGroups?: readonly string[];
}

/** A running etcd, kube-apiserver and kube-controller-manager on a loopback address, with RBAC and real ServiceAccount tokens. */
export interface ControlPlane {
  readonly dir: string;
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** URL of the API server. It does not change while the control plane runs. */
  readonly server: string;
  readonly binaries: Binaries;
  /** The API server's audit log, a line of JSON (audit.k8s.io/v1 Event) for each request; empty without `auditedGroups`. */
  readonly auditLog: string;
  /** Runs kubectl as administrator, or with another kubeconfig. A failing command is a result, not an error. */
  readonly kubectl: (
    args: readonly string[],
    options?: { input?: string; kubeconfig?: string },
  ) => Promise<CommandResult>;
  /** The bearer token of a user, for example of the node. */
  readonly tokenOf: Credentials['tokenOf'];
  /** Stops only the API server: connections close, and the port refuses new ones. */
  stopApiServer(): Promise<void>;
  /** Starts the API server again, with the same port, data and certificate. */
  startApiServer(): Promise<void>;
  restartApiServer(): Promise<void>;
  /**
   * Compacts etcd to its current revision and restarts the API server, because its watch cache would still answer for
   * compacted revisions. A later list or watch from an older resourceVersion fails with 410 Gone.
   */
  compact(): Promise<void>;
  /** Stops all programs, and removes the data unless `dir` was given. */
  stop(): Promise<void>;
}

/** Starts a control plane and waits until it is ready: /readyz is ok and the default namespace has its ServiceAccount. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const log = options.log ?? (() => {});
  const binaries = options.binaries ?? (await findBinaries(log));
  const temporary = options.dir === undefined;
  const dir = temporary ? mkdtempSync(join(tmpdir(), 'mtls-controlplane-')) : resolve(options.dir);
  const guard = options.guard ?? (temporary ? lifelongGuard : new Guard());
  if (temporary) guard.folder(dir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });

  const host = options.ipv6 ? '::1' : '127.0.0.1';
  const services = options.ipv6 ? 'fd00:10:96::/112' : '10.96.0.0/16';
  const credentials = credentialsIn(dir);
  const kubeconfig = join(dir, 'kubeconfig');
  const etcdSocket = join(dir, 'etcd.sock');
  const certificates = join(dir, 'certificates');
  const caFile = join(certificates, 'apiserver.crt');
  const auditLog = join(dir, 'audit.log');
  const auditArgs = writeAuditPolicy(dir, auditLog, options.auditedGroups ?? []);
  const nodeArgs = options.nodes ? await prepareNodes(dir, credentials) : [];
  const running = new Map<string, Component>();

  function start(program: string, args: readonly string[]): Component {
    const record = (component: Component): void => {
      running.set(component.name, component);
      save();
    };
    return startComponent(program, args, { dir, guard, record });
  }

  async function stop(...names: string[]): Promise<void> {
    await stopComponents(names.flatMap((name) => running.get(name) ?? []));
    for (const name of names) running.delete(name);
    save();
  }

  function save(): void {
    writeState(dir, { port, programs: options.nodes ? 4 : 3, processes: [...running.values()] });
  }

  async function startEtcd(): Promise<void> {
    requireShortPath(etcdSocket);
    const client = `unix://${etcdSocket}`;
    const peer = `unix://${join(dir, 'peer.sock')}`;
    const etcd = start(binaries.etcd, [
      '--name=etcd',
      `--data-dir=${join(dir, 'etcd')}`,
      // Sockets in the data folder: they need no free port, and other users of the machine cannot connect.
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=etcd=${peer}`,
      '--log-level=warn',
      // Several times faster. The data survive a crash of every process, but not a power failure.
      '--unsafe-no-fsync',
      // A hundred thousand resources exceed the default of 2 GiB.
      `--quota-backend-bytes=${8 * 2 ** 30}`,
    ]);
    await waitUntilReady(etcd, async () => (await askEtcd('/health')).body.includes('"true"'));
  }

  async function startApiServer(): Promise<void> {
    const apiServer = start(binaries.kubeApiserver, [
      `--etcd-servers=unix://${etcdSocket}`,
      `--bind-address=${host}`,
      `--advertise-address=${host}`,
      `--secure-port=${port}`,
      // The API server creates a certificate here on its first start and uses it again later.
      `--cert-dir=${certificates}`,
      // The API server would try again and again to publish a loopback address, which is invalid in an endpoint.
      '--endpoint-reconciler-type=none',
      `--token-auth-file=${credentials.tokenFile}`,
      `--authorization-mode=${options.nodes ? 'Node,' : ''}RBAC`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${credentials.serviceAccountKeyFile}`,
      `--service-account-signing-key-file=${credentials.serviceAccountKeyFile}`,
      `--service-cluster-ip-range=${services}`,
      // Without this flag, a stop waits a minute for open watches to end.
      '--shutdown-watch-termination-grace-period=1s',
      '--profiling=false',
      ...auditArgs,
      ...nodeArgs,
    ]);
    await waitUntilReady(apiServer, async () => (await askApiServer('/readyz')).status === 200);
  }

  /** Writes the kubeconfig of a component. */
  function kubeconfigOf(user: User): string {
    const path = join(dir, `${user.replace('system:', '')}.kubeconfig`);
    writeKubeconfig(path, server(), readFileSync(caFile, 'utf8'), credentials.tokenOf(user));
    return path;
  }

  async function startControllerManager(): Promise<void> {
    const ownKubeconfig = kubeconfigOf('system:kube-controller-manager');
    const controllerManager = start(binaries.kubeControllerManager, [
      `--kubeconfig=${ownKubeconfig}`,
      `--service-account-private-key-file=${credentials.serviceAccountKeyFile}`,
      `--root-ca-file=${caFile}`,
      '--use-service-account-credentials=true',
      '--leader-elect=false',
      '--kube-api-qps=2000',
      '--kube-api-burst=4000',
      // No port, because no client connects to it.
      '--secure-port=0',
      '--profiling=false',
    ]);
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await waitUntilReady(controllerManager, async () => (await askApiServer(account)).status === 200);
  }

  function startScheduler(program: string): void {
    // Pods wait until the scheduler is ready.
    start(program, [
      `--kubeconfig=${kubeconfigOf('system:kube-scheduler')}`,
      '--leader-elect=false',
      '--secure-port=0',
      '--profiling=false',
    ]);
  }

  const server = (): string => `https://${options.ipv6 ? `[${host}]` : host}:${port}`;

  function askEtcd(path: string, body?: object): Promise<Reply> {
    const method = body === undefined ? 'GET' : 'POST';
    return request({ socketPath: etcdSocket, path, method }, JSON.stringify(body));
  }

  function askApiServer(path: string): Promise<Reply> {
    const headers = { authorization: `Bearer ${credentials.tokenOf('admin')}` };
    return request({ host, port, path, headers, ca: readFileSync(caFile) });
  }

  const before = readState(dir);
  await endRecorded(dir);
  let port = before?.port !== undefined && (await isFree(before.port, host)) ? before.port : await freePort(host);

  try {
    log('Starting etcd, kube-apiserver and kube-controller-manager...');
    await startEtcd();
    for (let attempt = 1; ; attempt++) {
      try {
        await startApiServer();
        break;
      } catch (error) {
        if (!(error instanceof ComponentError && error.portTaken && attempt < 5)) throw error;
        port = await freePort(host);
      }
    }
    writeKubeconfig(kubeconfig, server(), readFileSync(caFile, 'utf8'), credentials.tokenOf('admin'));
    if (options.nodes) startScheduler((await findNodeBinaries(binaries, log)).kubeScheduler);
    await startControllerManager();
  } catch (error) {
    await stopAll();
    throw error;
  }
  if (!temporary && options.guard === undefined) guard.release();

  async function stopAll(): Promise<void> {
    await stop('kube-scheduler', 'kube-controller-manager', 'kube-apiserver');
    await stop('etcd');
    if (temporary) rmSync(dir, { recursive: true, force: true });
  }

  async function compact(): Promise<void> {
    const range = await askEtcd('/v3/kv/range', { key: 'AA==' });
    const { revision } = (JSON.parse(range.body) as { header: { revision: string } }).header;
    const { status, body } = await askEtcd('/v3/kv/compaction', { revision, physical: true });
    if (status !== 200) throw new Error(`etcd could not compact its history: ${body}`);
    await restartApiServer();
  }

  async function restartApiServer(): Promise<void> {
    await stop('kube-apiserver');
    await startApiServer();
  }

  return {
    dir,
    kubeconfig,
    server: server(),
    binaries,
    auditLog,
    tokenOf: credentials.tokenOf,
    kubectl: (args, { input, kubeconfig: other } = {}) =>
      output(binaries.kubectl, args, {
        env: kubectlEnvironment(dir, other ?? kubeconfig),
        ...(input === undefined ? {} : { input }),
      }),
    stopApiServer: () => stop('kube-apiserver'),
    startApiServer,
    restartApiServer,
    compact,
    stop: stopAll,
  };
}

/**
 * The environment for kubectl on the control plane in `dir`, with a separate cache, because control planes reuse ports. kubectl ends
 * soon, so collecting its garbage would be a third of its CPU time for nothing.
 */
export function kubectlEnvironment(dir: string, kubeconfig: string): NodeJS.ProcessEnv {
  const separate = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(dir, 'kubectl-cache') };
  return { ...process.env, ...separate, GOGC: 'off', GOMEMLIMIT: '1GiB' };
}

/** Writes the audit policy. Returns the API server's arguments for it: none if no group is audited. */
function writeAuditPolicy(dir: string, auditLog: string, groups: readonly string[]): readonly string[] {
  if (groups.length === 0) return [];
  const file = join(dir, 'audit-policy.json');
  const rules = [{ level: 'Metadata', userGroups: groups }];
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules };
  writeFileSync(file, JSON.stringify(policy));
  return [`--audit-policy-file=${file}`, `--audit-log-path=${auditLog}`];
}

/** The socket of the proxy through which the API server connects to kubelet and pods. */
export const egressSocketIn = (dir: string): string => join(dir, 'egress.sock');

/** Writes the files for nodes. Returns the API server's arguments. */
async function prepareNodes(dir: string, credentials: Credentials): Promise<readonly string[]> {
  await writeKubeletClient(credentials);
  const proxy = { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: egressSocketIn(dir) } } };
  const egress = {
    apiVersion: 'apiserver.k8s.io/v1beta1',
    kind: 'EgressSelectorConfiguration',
    egressSelections: [{ name: 'cluster', connection: proxy }],
  };
  const file = join(dir, 'egress.json');
  writeFileSync(file, JSON.stringify(egress));
  return [
    `--egress-selector-config-file=${file}`,
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--kubelet-client-certificate=${credentials.kubeletClient.certificateFile}`,
    `--kubelet-client-key=${credentials.kubeletClient.keyFile}`,
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

function requireShortPath(socket: string): void {
  // sun_path has 104 bytes on macOS and 108 on Linux, including the final NUL.
  if (Buffer.byteLength(socket) > 103)
    throw new Error(`the path ${socket} is too long for a socket: use another folder`);
}
