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
import type { PodWorkload } from './workloads.ts';

/** A server and a client with certificates of a retired root, and with the current roots. */
export interface RetiredPods {
  readonly server: ConnectedServer;
  /** One connection of the client to each server of the mesh. */
  handshakes(): Promise<readonly Handshake[]>;
  stop(): Promise<void>;
}

type Role = 'server' | 'client';

const workload: PodWorkload = {
  name: 'retired',
  namespace: 'shop',
  source: 'copied Secrets',
  clusterIp: '10.96.0.100',
  server: goPeer,
  client: goPeer,
};

/** Starts them with the Secrets that `go-secret` had before the rotation. */
export async function startRetiredPods(
  { api }: Installation,
  { kubectl }: TestNode,
  mesh: PodMesh,
  old: Readonly<Record<Role, Secret>>,
): Promise<RetiredPods> {
  const { name, namespace, clusterIp } = workload;
  for (const role of ['server', 'client'] as const) {
    // The pods have the current bundle, so the reason of the refusal is the certificate.
    const current = await api.get<Secret>(paths.secrets(namespace, old[role].metadata.name));
    await api.create(paths.secrets(namespace), {
      metadata: { name: `${name}-${role}-tls` },
      data: { ...old[role].data, 'ca.crt': current.data?.['ca.crt'] },
    });
  }
  const folder = await scratchFolder('retired');
  const servers = mesh.servers.map((server) => server.name);
  const ledger = ledgerFor([name], servers);
  await mesh.add(workload, folder);
  const following = followLines(folder, (line) => {
    const handshake = JSON.parse(line) as Handshake;
    ledger.record({ ...handshake, serverRoot: undefined, clientRoot: undefined });
  });
  return {
    server: { port: `${clusterIp}:${serverPort}`, serverName: `go-secret.${namespace}.svc` },
    handshakes: () => ledger.everyPairMeets(),
    async stop() {
      await kubectl(['delete', `--namespace=${namespace}`, 'deployment', name]);
      await following.stop();
      await rm(folder, { recursive: true });
    },
  };
}
