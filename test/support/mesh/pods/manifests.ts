import { parseAllDocuments } from 'yaml';
import { filled, wholePage } from '../../page.ts';
import { goPeer, nginxServer, nodePeer, pythonPeer } from '../../peers/index.ts';
import { nginxConfiguration } from '../../peers/nginx.ts';
import type { PeerProgram } from '../../peers/program.ts';
import type { Round, RoundServer } from '../../peers/round.ts';
import { fakeTimeLibrary, type Machine } from './machine.ts';
import { isCertified, isMountedBySubPath, type PodWorkload, usesSecrets } from './workloads.ts';

/** What all workloads of a mesh share. */
export interface Surroundings {
  readonly authority: string;
  /** The ConfigMap with the roots of the authority, in every namespace. */
  readonly bundle: string;
  readonly machine: Machine;
  /** The folder of the machine to which every client adds its lines, in a file with the name of its pod. */
  readonly ledger: string;
  /** The servers that every client connects to. */
  readonly servers: readonly RoundServer[];
}

type Manifest = Readonly<Record<string, unknown>>;
type Role = 'server' | 'client';

export const serverPort = 8443;
const image = 'localhost/busybox:1';
const files = ['tls.crt', 'tls.key', 'ca.crt'];
/** Any user other than root. nginx as root needs an entry in /etc/passwd. */
const nginxUser = 101;

/** The objects of a workload: an MtlsCertificate if it uses Secrets, a Service, a Deployment and what belongs to it. */
export async function manifestsOf(workload: PodWorkload, surroundings: Surroundings): Promise<readonly Manifest[]> {
  const { name, namespace, clusterIp } = workload;
  const metadata = { name, namespace };
  const certificate = {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata,
    spec: {
      authorityRef: { name: surroundings.authority },
      server: { service: name },
      client: { serviceAccount: name },
    },
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { clusterIP: clusterIp, selector: { app: name }, ports: [{ port: serverPort }] },
  };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    service,
    ...(isCertified(workload) ? [certificate] : []),
    ...(workload.server === nginxServer ? [nginxConfigMap(workload)] : []),
    await deploymentOf(workload, surroundings),
  ];
}

async function deploymentOf(workload: PodWorkload, surroundings: Surroundings): Promise<Manifest> {
  const { name, namespace, server } = workload;
  const isNginx = server === nginxServer;
  const labels = { app: name };
  const { folders } = surroundings.machine;
  const volumes = [
    ...folders.map(({ volume }) => volume),
    { name: 'ledger', hostPath: { path: surroundings.ledger } },
    { name: 'scratch', emptyDir: {} },
    ...(isNginx ? [{ name: 'nginx', configMap: { name } }] : []),
    ...tlsVolumes(workload, surroundings),
  ];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          // Most of these programs ignore SIGTERM as the first process of a container.
          terminationGracePeriodSeconds: drainSeconds + 1,
          ...(isNginx ? { securityContext: { runAsNonRoot: true, runAsUser: nginxUser, fsGroup: nginxUser } } : {}),
          containers: [
            await serverContainer(workload, surroundings),
            ...(workload.client === undefined ? [] : [await clientContainer(workload, workload.client, surroundings)]),
          ],
          volumes,
        },
      },
    },
  };
}

const waitForServer = `until : </dev/tcp/127.0.0.1/${serverPort}; do sleep 0.1; done`;

/** Connections arrive until every client knows that the pod is going. */
const drainSeconds = 3;

async function serverContainer(workload: PodWorkload, { machine }: Surroundings): Promise<Manifest> {
  const { server } = workload;
  const command =
    server === nginxServer
      ? ['sh', '-c', nginxScript()]
      : [...(await (server as PeerProgram).command()), 'server', '/tls', `0.0.0.0:${serverPort}`];
  return {
    ...container(workload, 'server', machine, command),
    lifecycle: {
      // In place of a probe: after a restart of kubelet, a pod with a probe is not ready until the probe has succeeded again.
      postStart: { exec: { command: ['/usr/bin/bash', '-c', waitForServer] } },
      preStop: { sleep: { seconds: drainSeconds } },
    },
  };
}

async function clientContainer(
  workload: PodWorkload,
  client: PeerProgram,
  { machine, servers }: Surroundings,
): Promise<Manifest> {
  const round: Round = {
    clients: [{ name: workload.name, folder: '/tls' }],
    servers,
    everyMs: runsClients(client) ? 200 : 400,
  };
  const program = runsClients(client) ? [...(await client.command()), 'clients'] : [...spawningClients, client.name];
  // A file for each pod: one line of a client that is killed may be incomplete.
  const command = ['sh', '-c', 'exec "$@" >>"/ledger/$HOSTNAME"', 'sh', ...program, JSON.stringify(round)];
  const parts = container(workload, 'client', machine, command);
  return { ...parts, volumeMounts: [...parts.volumeMounts, { name: 'ledger', mountPath: '/ledger' }] };
}

/** The programs that run clients themselves, see round.ts. Those of the others run one connection. */
const runsClients = (client: PeerProgram): boolean => [goPeer, nodePeer, pythonPeer].includes(client);

const spawningClients = [process.execPath, `${import.meta.dirname}/spawning-clients.ts`];

function container(workload: PodWorkload, role: Role, { folders, env }: Machine, command: readonly string[]) {
  const { clockBehindMs } = workload;
  const clock =
    clockBehindMs === undefined
      ? {}
      : {
          LD_PRELOAD: fakeTimeLibrary() ?? '',
          FAKETIME: `-${clockBehindMs / 1000}s`,
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        };
  return {
    name: role,
    image,
    imagePullPolicy: 'Never',
    command: isMountedBySubPath(workload) ? ['sh', '-c', linkSubPaths, 'sh', ...command] : command,
    env: Object.entries({ ...env, ...clock }).map(([name, value]) => ({ name, value })),
    volumeMounts: [
      ...folders.map(({ mount }) => mount),
      ...tlsMounts(workload, role),
      ...(workload.server === nginxServer ? [{ name: 'nginx', mountPath: '/etc/nginx' }] : []),
    ],
  };
}

/** The programs follow the link that kubelet keeps in a mounted folder. A folder with files by subPath has no such link. */
const linkSubPaths = 'ln -sfn ../subpath /tls/..data && exec "$@"';

function tlsMounts(workload: PodWorkload, role: Role): readonly Manifest[] {
  if (!isMountedBySubPath(workload)) {
    return [
      { name: usesSecrets(workload) ? `${role}-tls` : 'tls', mountPath: '/tls', readOnly: true },
      scratch('/scratch'),
    ];
  }
  const byFile = files.map((file) => ({
    name: `${role}-tls`,
    mountPath: `/subpath/${file}`,
    subPath: file,
    readOnly: true,
  }));
  return [...byFile, { ...scratch('/tls'), subPath: role }];
}

const scratch = (mountPath: string): Manifest => ({ name: 'scratch', mountPath });

function tlsVolumes(workload: PodWorkload, { authority, bundle }: Surroundings): readonly Manifest[] {
  const { name, source } = workload;
  if (usesSecrets(workload)) {
    return (['server', 'client'] as const).map((role) => ({
      name: `${role}-tls`,
      secret: { secretName: `${name}-${role}-tls`, defaultMode: 0o440 },
    }));
  }
  const signerName = `mtls-operator.io/${authority}`;
  const roots =
    source === 'podCertificate'
      ? { clusterTrustBundle: { signerName, labelSelector: {}, path: 'ca.crt' } }
      : { configMap: { name: bundle, items: [{ key: 'ca.crt', path: 'ca.crt' }] } };
  const podCertificate = {
    signerName,
    keyType: 'ECDSAP256',
    certificateChainPath: 'tls.crt',
    keyPath: 'tls.key',
    userAnnotations: { 'mtls-operator.io/services': name },
  };
  return [{ name: 'tls', projected: { defaultMode: 0o440, sources: [{ podCertificate }, roots] } }];
}

function nginxConfigMap({ name, namespace }: PodWorkload): Manifest {
  const configuration = nginxConfiguration({ folder: '/tls', prefix: '/scratch', address: `0.0.0.0:${serverPort}` });
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { 'nginx.conf': configuration } };
}

/** The loop of the documentation, which reloads nginx after a change. It runs more often here. */
function nginxScript(): string {
  const page = parseAllDocuments(wholePage('docs/how-to/stacks/nginx.md').file('nginx.yaml'));
  const deployment = page.find((document) => document.get('kind') === 'Deployment');
  const script = String(deployment?.getIn(['spec', 'template', 'spec', 'containers', 0, 'command', 2]));
  return filled(script, { 'sleep 10': 'sleep 1', 'nginx -': 'nginx -p /scratch -e stderr -c /etc/nginx/nginx.conf -' });
}
