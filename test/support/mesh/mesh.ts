import { join } from 'node:path';

import {
  type ClientPeer,
  curlClient,
  goPeer,
  javaPeer,
  mountSecret,
  nginxServer,
  nodePeer,
  opensslClient,
  opensslServer,
  pythonPeer,
  rustPeer,
  type SecretFiles,
  type ServerPeer,
} from '../peers/index.ts';
import type { Handshake, RoundServer } from '../peers/round.ts';
import { startClientProgram, startSpawnedClient } from './clients.ts';
import { issueOf } from './issue.ts';
import { type Ledger, ledgerFor } from './ledger.ts';
import { type LaggingMount, laggingMount, type SecretState } from './mount.ts';
import { startServer } from './server.ts';

export type Role = 'server' | 'client';

/** A server and a client, each with its own Secret. */
export interface Workload {
  readonly name: string;
  /** The name for which its server's certificate is valid. */
  readonly serverName: string;
  /** The initial content of the Secrets. */
  readonly secrets: Readonly<Record<Role, SecretFiles>>;
}

export interface ServerOfMesh extends RoundServer {
  readonly peer: ServerPeer;
  /** The folder in which its Secret is mounted. */
  readonly folder: string;
}

export interface ClientOfMesh {
  readonly name: string;
  readonly peer: ClientPeer;
  readonly folder: string;
}

/** Servers and clients. Each client connects to each server again and again, with a full handshake each time. */
export interface Mesh {
  readonly ledger: Ledger;
  readonly servers: readonly ServerOfMesh[];
  readonly clients: readonly ClientOfMesh[];
  /** Delivers new content of a Secret. The peer uses it after its own lag. */
  deliver(name: string, role: Role, state: SecretState): void;
  /** Resolves when every peer uses the delivered content. Throws if a peer failed to load it. */
  settled(): Promise<void>;
  /**
   * The longest time in milliseconds for which, after a Secret was written, a handshake may still have used the old content,
   * as observed since `time`.
   */
  slowestMs(time: number): number;
  stop(): Promise<void>;
}

export interface MeshOptions {
  /** The folder below which the Secrets are mounted. */
  readonly base: string;
  /** The lag of the slowest peers. Those of the others are spread between zero and this. */
  readonly slowestLagMs: number;
}

/** The programs that take part, in rotation. Those that need more CPU occur less often. */
const common = [goPeer, nodePeer, nginxServer, opensslServer];
const serverPeers = [...common, pythonPeer, javaPeer, rustPeer, ...common];
const clientPeers = [goPeer, nodePeer, opensslClient, goPeer, nodePeer, curlClient];
/** Clients that share a process connect more often than clients that start a process for each connection. */
const paceMs = { together: 200, spawned: 500 };

/** All programs that a mesh uses. */
export const peersOfMesh: readonly (ServerPeer | ClientPeer)[] = [...serverPeers, ...clientPeers];

/** Starts the servers, then the clients. */
export async function startMesh(workloads: readonly Workload[], options: MeshOptions): Promise<Mesh> {
  const { base, slowestLagMs } = options;
  const names = workloads.map(({ name }) => name);
  const ledger = ledgerFor(names, names);
  const mounts = new Map<string, LaggingMount>();
  const issuedBy = new Map<string, string>();
  const ends: (() => Promise<void>)[] = [];

  const keyOf = (name: string, role: Role): string => `${name}-${role}`;
  const lagOf = (place: number): number => (slowestLagMs * place) / (workloads.length - 1);
  const recordIssuer = (files: SecretFiles): void => {
    const { serial, root } = issueOf(files);
    issuedBy.set(serial, root);
  };
  const rootOf = (serial: string | undefined): string | undefined => issuedBy.get(serial ?? '');
  const record = (handshake: Handshake): void =>
    ledger.record({
      ...handshake,
      serverRoot: rootOf(handshake.serverSerial),
      clientRoot: rootOf(handshake.clientSerial),
    });
  async function stop(): Promise<void> {
    // In reverse order: the clients stop before the servers.
    for (const end of ends.splice(0).toReversed()) await end();
  }

  async function serve({ name, serverName, secrets }: Workload, number: number): Promise<ServerOfMesh> {
    const folder = join(base, keyOf(name, 'server'));
    recordIssuer(secrets.server);
    await mountSecret(folder, secrets.server);
    const peer = pick(serverPeers, number);
    const server = await startServer(peer, folder);
    ends.push(server.stop);
    mounts.set(keyOf(name, 'server'), laggingMount(folder, lagOf(number), server.reload));
    return { name, serverName, port: String(server.port), peer, folder };
  }

  async function equip({ name, secrets }: Workload, number: number): Promise<ClientOfMesh & { mount: LaggingMount }> {
    const folder = join(base, keyOf(name, 'client'));
    recordIssuer(secrets.client);
    await mountSecret(folder, secrets.client);
    // The order is reversed, so that each kind of program is among the slow clients and among the slow servers.
    const mount = laggingMount(folder, lagOf(workloads.length - 1 - number));
    mounts.set(keyOf(name, 'client'), mount);
    return { name, peer: pick(clientPeers, number), folder, mount };
  }

  try {
    const servers = await Promise.all(workloads.map(serve));
    const clients = await Promise.all(workloads.map(equip));
    for (const program of [goPeer, nodePeer]) {
      const together = clients.filter(({ peer }) => peer === program);
      const round = {
        clients: together.map(({ name, folder }) => ({ name, folder })),
        servers,
        everyMs: paceMs.together,
      };
      ends.push((await startClientProgram(program, round, record)).stop);
    }
    for (const [first, client] of clients.entries()) {
      if (client.peer !== opensslClient && client.peer !== curlClient) continue;
      ends.push(startSpawnedClient({ ...client, first }, { servers, everyMs: paceMs.spawned }, record).stop);
    }
    return {
      ledger,
      servers,
      clients,
      deliver(name, role, state) {
        recordIssuer(state.files);
        mounts.get(keyOf(name, role))?.deliver(state);
      },
      async settled() {
        for (const mount of mounts.values()) await mount.settled();
      },
      slowestMs: (time) =>
        Math.max(...[...mounts.values()].map((mount) => mount.slowestMs(time))) + ledger.slowestMs(time),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function pick<T>(kinds: readonly T[], number: number): T {
  const kind = kinds[number % kinds.length];
  if (kind === undefined) throw new Error('the list of peers is empty');
  return kind;
}
