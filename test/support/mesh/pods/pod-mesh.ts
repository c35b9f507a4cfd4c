import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';

import { openHelm } from '../../chart/helm.ts';
import { eventually } from '../../eventually.ts';
import type { Installation } from '../../installation.ts';
import type { TestNode } from '../../node.ts';
import type { Handshake } from '../../peers/round.ts';
import { scratchFolder } from '../../scratch.ts';
import { watchAuthority } from '../authority.ts';
import { type Entry, ledgerFor } from '../ledger.ts';
import type { ServerOfMesh } from '../mesh.ts';
import type { ReportedMesh } from '../report.ts';
import { followIssuers, type IssuedCertificate } from './issuers.ts';
import { slowestUseMs } from './lag.ts';
import { followLines } from './lines.ts';
import { machine } from './machine.ts';
import { manifestsOf, type Surroundings, serverPort } from './manifests.ts';
import { isMountedBySubPath, namespaces, type PodWorkload, serverNameOf, workloads } from './workloads.ts';

/** Pods on a node. Each client connects to each server again and again, with a full handshake each time. */
export interface PodMesh extends ReportedMesh {
  readonly servers: readonly Omit<ServerOfMesh, 'folder'>[];
  /** How far the clock of this client was behind in each of its handshakes, in milliseconds. */
  clocksBehindMs(client: string): readonly number[];
  /** Kills the operator and starts it again as the same replica, which still holds the Lease. */
  restartOperator(): Promise<void>;
  /** The serial numbers of all certificates so far, except those that pods mount by `subPath` and cannot replace. */
  serials(): ReadonlySet<string>;
  /** Waits until no pod presents one of these certificates. */
  hasReplaced(serials: ReadonlySet<string>): Promise<void>;
  /**
   * The longest time in milliseconds for which, after a certificate was written, a handshake that ended at `time` or later
   * used the certificate that it replaces.
   */
  slowestMs(time: number): number;
  /** Starts more pods like those of the mesh, whose clients add their lines to this folder. */
  add(workload: PodWorkload, ledger: string): Promise<void>;
  stop(): Promise<void>;
}

export const authorityName = 'mesh';
const bundle = 'mesh-trust';
const replica = { env: { POD_NAME: 'replica' } };

/** The flags of the operator of a mesh. */
export const operatorFlags = ['--pod-certificates', '--pod-evidence', '--restart-workloads'];

/** Starts the operator, an authority with these settings of rotations, and all workloads. Waits until every pod is ready. */
export async function startPodMesh(world: Installation, node: TestNode, rotation: object): Promise<PodMesh> {
  const base = await scratchFolder('pod-mesh');
  await installRights(node);
  await world.start(replica);
  for (const name of namespaces) await node.kubectl(['create', 'namespace', name]);
  await world.createAuthority(authorityName, {
    secretName: `${authorityName}-root`,
    root: { commonName: 'Mesh Root' },
    rotation: { podEvidence: true, restartWorkloads: true, ...rotation },
    trustBundle: { configMap: { name: bundle }, clusterTrustBundle: true },
    podCertificates: {},
  });
  const authority = await watchAuthority(world.api, authorityName);
  const issuers = followIssuers(world.api, namespaces);

  const servers = workloads.map((workload) => ({
    name: workload.name,
    serverName: serverNameOf(workload),
    port: `${workload.clusterIp}:${serverPort}`,
    peer: workload.server,
  }));
  const clients = workloads.flatMap(({ name, client }) => (client === undefined ? [] : [{ name, peer: client }]));
  const surroundings: Surroundings = {
    authority: authorityName,
    bundle,
    machine: machine(),
    ledger: base,
    servers: servers.map(({ name, serverName, port }) => ({ name, serverName, port })),
  };
  await start(node, workloads, surroundings);
  const names = (parties: readonly { name: string }[]): string[] => parties.map(({ name }) => name);
  const ledger = ledgerFor(names(clients), names(servers));
  const behind = new Map(workloads.map(({ name, clockBehindMs = 0 }) => [name, clockBehindMs]));
  const clocks = new Map(names(clients).map((name) => [name, [] as number[]]));
  const met = new Set<string>();
  // The first clients run before the last servers.
  let countedSince = Number.POSITIVE_INFINITY;
  const following = followLines(base, (line) => {
    const handshake = JSON.parse(line) as Handshake;
    const at = handshake.at + (behind.get(handshake.client) ?? 0);
    if (at - handshake.tookMs < countedSince) {
      if (handshake.error === undefined) met.add(`${handshake.client} ${handshake.server}`);
      return;
    }
    clocks.get(handshake.client)?.push(Date.now() - handshake.at);
    ledger.record({
      ...handshake,
      at,
      // The watch may report the certificate after the handshake.
      get serverRoot() {
        return issuers.rootOf(handshake.serverSerial);
      },
      get clientRoot() {
        return issuers.rootOf(handshake.clientSerial);
      },
    });
  });
  await eventually(() => assert.equal(met.size, clients.length * servers.length, 'pairs that have connected'), {
    timeoutMs: 180_000,
    message: 'the pods of the mesh do not connect',
  });
  countedSince = Date.now();
  return {
    authority,
    ledger,
    servers,
    clients,
    clocksBehindMs: (client) => clocks.get(client) ?? [],
    async restartOperator() {
      await world.operator.kill();
      await world.start(replica);
    },
    serials: () => new Set(updated(issuers.issued).map(({ serial }) => serial)),
    async hasReplaced(serials) {
      const message = 'pods present certificates that were replaced';
      const isOld = (serial = ''): boolean => serials.has(serial);
      await eventually(
        async () => {
          const old = (await ledger.everyPairMeets()).filter(
            ({ serverSerial, clientSerial }) => isOld(serverSerial) || isOld(clientSerial),
          );
          assert.deepEqual(partiesIn(old), []);
        },
        { timeoutMs: 120_000, message },
      );
    },
    slowestMs: (time) => slowestUseMs(ledger.entries, updated(issuers.issued), time) + ledger.slowestMs(time),
    add: (workload, folder) => start(node, [workload], { ...surroundings, ledger: folder }),
    async stop() {
      await following.stop();
      await rm(base, { recursive: true });
    },
  };
}

/** The certificates that kubelet writes into the files of pods. */
const updated = (issued: readonly IssuedCertificate[]): IssuedCertificate[] => {
  const frozen = new Set(workloads.filter(isMountedBySubPath).map(({ name }) => name));
  return issued.filter(({ workload }) => !frozen.has(workload));
};

const partiesIn = (entries: readonly Entry[]): string[] => [
  ...new Set(entries.map(({ client, server }) => `${client} and ${server}`)),
];

/** Starts pods and waits until they are ready. */
async function start(node: TestNode, started: readonly PodWorkload[], surroundings: Surroundings): Promise<void> {
  const manifests = await Promise.all(started.map((workload) => manifestsOf(workload, surroundings)));
  await apply(node, manifests.flat());
  for (const workload of started) await rolledOut(node, workload);
}

async function rolledOut({ kubectl }: TestNode, { name, namespace }: Pick<PodWorkload, 'name' | 'namespace'>) {
  await kubectl(['rollout', 'status', `--namespace=${namespace}`, `deployment/${name}`, '--timeout=180s']);
}

/** The roles and admission policies of the chart with everything that the mesh uses. */
async function installRights(node: TestNode): Promise<void> {
  const helm = await openHelm('helm');
  const rendered = await helm.render({
    podCertificates: { enabled: true },
    podEvidence: { enabled: true, restartWorkloads: true },
  });
  const rights = /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/;
  await apply(
    node,
    rendered.filter(({ kind }) => rights.test(kind)),
  );
}

async function apply({ kubectl }: TestNode, items: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '--server-side', '--force-conflicts', '--filename=-'], { input });
}
