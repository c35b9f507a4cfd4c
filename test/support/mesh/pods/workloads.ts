import { missing } from '../../missing.ts';
import { goPeer, javaPeer, nginxServer, nodePeer, pythonPeer, rustPeer, type ServerPeer } from '../../peers/index.ts';
import type { PeerProgram } from '../../peers/program.ts';

/** Where a pod gets its certificate and its roots from. */
export type Source =
  /** The Secrets of an MtlsCertificate, one for its server and one for its client. */
  | 'Secrets'
  /** The same, mounted by `subPath`: the files never change while the pod runs. */
  | 'Secrets by subPath'
  /** A pod certificate, and the roots from the ClusterTrustBundle of the signer. */
  | 'podCertificate'
  /** A pod certificate, and the roots from the ConfigMap of the authority. */
  | 'podCertificate and ConfigMap'
  /** The same Secrets with copied files: there is no MtlsCertificate. */
  | 'copied Secrets';

/** A Deployment with a Service. */
export interface PodWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly source: Source;
  /** The address of its Service, known before the Service exists. */
  readonly clusterIp: string;
  readonly server: PeerProgram | typeof nginxServer;
  /** A second container, which connects to all servers in turn. */
  readonly client?: PeerProgram;
  /** How far the clock of its programs is behind. */
  readonly clockBehindMs?: number;
}

const [shop, bank] = ['shop', 'bank'];
export const namespaces: readonly string[] = [shop, bank];

export const workloads: readonly PodWorkload[] = [
  { name: 'go-secret', namespace: shop, clusterIp: '10.96.0.101', source: 'Secrets', server: goPeer, client: goPeer },
  { name: 'nginx-secret', namespace: bank, clusterIp: '10.96.0.102', source: 'Secrets', server: nginxServer },
  { name: 'java-secret', namespace: shop, clusterIp: '10.96.0.103', source: 'Secrets', server: javaPeer },
  {
    name: 'go-subpath',
    namespace: bank,
    clusterIp: '10.96.0.104',
    source: 'Secrets by subPath',
    server: goPeer,
    client: goPeer,
  },
  {
    name: 'node-pod',
    namespace: shop,
    clusterIp: '10.96.0.105',
    source: 'podCertificate',
    server: nodePeer,
    client: nodePeer,
  },
  {
    name: 'rust-pod',
    namespace: bank,
    clusterIp: '10.96.0.106',
    source: 'podCertificate',
    server: rustPeer,
    client: rustPeer,
  },
  {
    name: 'nginx-pod',
    namespace: shop,
    clusterIp: '10.96.0.107',
    source: 'podCertificate and ConfigMap',
    server: nginxServer,
  },
  {
    name: 'python-behind',
    namespace: bank,
    clusterIp: '10.96.0.108',
    source: 'podCertificate',
    server: pythonPeer,
    client: pythonPeer,
    clockBehindMs: 120_000,
  },
];

/** All programs that the workloads use. */
export const programsOfPods: readonly Pick<ServerPeer, 'missing'>[] = [
  ...workloads.map(({ server }) => server),
  { missing: missing.faketime },
];

export const isCertified = ({ source }: PodWorkload): boolean => source.startsWith('Secrets');
export const usesSecrets = (workload: PodWorkload): boolean =>
  isCertified(workload) || workload.source === 'copied Secrets';
export const isMountedBySubPath = ({ source }: PodWorkload): boolean => source === 'Secrets by subPath';
export const serverNameOf = ({ name, namespace }: Pick<PodWorkload, 'name' | 'namespace'>): string =>
  `${name}.${namespace}.svc`;
