import { rm } from 'node:fs/promises';

import { paths, type Secret } from '../../api.ts';
import type { Installation } from '../../installation.ts';
import type { TestNode } from '../../node.ts';
import { goPeer } from '../../peers/index.ts';
import type { Handshake } from '../../peers/round.ts';
import { scratchFolder } from '../../scratch.ts';
import { ledgerFor } from '../ledger.ts';
import type { ConnectedServer } from './exec.ts';
import { followLines } from './lines.ts';
import { serverPort } from './manifests.ts';
import type { PodMesh } from './pod-mesh.ts';
import { type PodWorkload, serverNameOf } from './workloads.ts';

/** Certificates of a root before its rotation. */
export interface OldCertificates {
  /** The workload that had them. Its Service is the name of the server. */
  readonly of: Pick<PodWorkload, 'name' | 'namespace'>;
  /** tls.crt and tls.key, in base64. */
  readonly data: Readonly<Record<Role, Secret['data']>>;
}

/** Servers and clients with certificates of a retired root, and with the current roots. */
export interface RetiredPods {
  readonly servers: readonly ConnectedServer[];
  /** One connection of each client to each server of the mesh. */
  handshakes(): Promise<readonly Handshake[]>;
  stop(): Promise<void>;
}

type Role = 'server' | 'client';
const roles: readonly Role[] = ['server', 'client'];

/** Keeps the certificates in the Secrets of a workload. */
export async function secretsOf(
  { api }: Pick<Installation, 'api'>,
  of: OldCertificates['of'],
): Promise<OldCertificates> {
  const secretOf = (role: Role) => api.get<Secret>(paths.secrets(of.namespace, `${of.name}-${role}-tls`));
  const [server, client] = await Promise.all([secretOf('server'), secretOf('client')]);
  return { of, data: { server: server.data, client: client.data } };
}

/** Keeps the pod certificate in the files of a workload's pod. Both of its programs use it. */
export async function podCertificateOf(
  { api }: Pick<Installation, 'api'>,
  node: Pick<TestNode, 'run'>,
  of: OldCertificates['of'],
): Promise<OldCertificates> {
  const pods = await api.list(`/api/v1/namespaces/${of.namespace}/pods`);
  const pod = pods.find(({ metadata }) => metadata.labels?.['app'] === of.name);
  const folder = `/var/lib/kubelet/pods/${pod?.metadata.uid}/volumes/kubernetes.io~projected/tls`;
  // One call, so that kubelet does not replace the files in between.
  const { stdout } = await node.run('sh', [
    '-c',
    `cd ${folder}/..data/ && base64 -w0 tls.crt && echo && base64 -w0 tls.key`,
  ]);
  const [certificate = '', key = ''] = stdout.split('\n');
  const data = { 'tls.crt': certificate, 'tls.key': key };
  return { of, data: { server: data, client: data } };
}

/** Starts a server and a client with each of the old certificates. */
export async function startRetiredPods(
  { api }: Installation,
  { kubectl }: TestNode,
  mesh: PodMesh,
  olds: readonly OldCertificates[],
): Promise<RetiredPods> {
  const retired = olds.map(({ of, data }, index) => ({ workload: retiredWorkload(of, index), of, data }));
  for (const { workload, data } of retired) {
    for (const role of roles) {
      // The pods have the current bundle, so the reason of the refusal is the certificate.
      const current = await api.get<Secret>(paths.secrets('shop', 'go-secret-server-tls'));
      await api.create(paths.secrets(workload.namespace), {
        metadata: { name: `${workload.name}-${role}-tls` },
        data: { ...data[role], 'ca.crt': current.data?.['ca.crt'] },
      });
    }
  }
  const folder = await scratchFolder('retired');
  const ledger = ledgerFor(
    retired.map(({ workload: { name } }) => name),
    mesh.servers.map(({ name }) => name),
  );
  await Promise.all(retired.map(({ workload }) => mesh.add(workload, folder)));
  const following = followLines(folder, (line) => {
    const handshake = JSON.parse(line) as Handshake;
    ledger.record({ ...handshake, serverRoot: undefined, clientRoot: undefined });
  });
  return {
    servers: retired.map(({ workload, of }) => ({
      port: `${workload.clusterIp}:${serverPort}`,
      serverName: serverNameOf(of),
    })),
    handshakes: () => ledger.everyPairMeets(),
    async stop() {
      for (const { workload } of retired)
        await kubectl(['delete', `--namespace=${workload.namespace}`, 'deployment', workload.name]);
      await following.stop();
      await rm(folder, { recursive: true });
    },
  };
}

const retiredWorkload = ({ name, namespace }: OldCertificates['of'], index: number): PodWorkload => ({
  name: `retired-${name}`,
  namespace,
  source: 'copied Secrets',
  clusterIp: `10.96.0.${110 + index}`,
  server: goPeer,
  client: goPeer,
});
