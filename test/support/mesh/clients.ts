import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { guardProcess } from '../../../tools/controlplane/guard.ts';
import type { ClientPeer } from '../peers/index.ts';
import type { PeerProgram } from '../peers/program.ts';
import { connectInTurn, type Handshake, type Round } from '../peers/round.ts';
import type { LaggingMount } from './mount.ts';

/** Clients that connect until they are stopped. */
export interface RunningClients {
  /** Throws if the clients have already ended. */
  readonly stop: () => Promise<void>;
}

type RecordHandshake = (handshake: Handshake) => void;

/** Starts many clients in one process, which prints a line for each connection. */
export async function startClientProgram(
  peer: PeerProgram,
  round: Round,
  record: RecordHandshake,
): Promise<RunningClients> {
  const [program, ...args] = await peer.command();
  const child = spawn(program, [...args, 'clients', JSON.stringify(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  guardProcess(child);
  const closed = once(child, 'close');
  createInterface({ input: child.stdout }).on('line', (line) => record(JSON.parse(line) as Handshake));
  return {
    async stop() {
      const earlyExit = child.exitCode ?? child.signalCode;
      child.kill();
      await closed;
      if (earlyExit !== null) throw new Error(`the clients on ${peer.name} ended too early: ${earlyExit}`);
    },
  };
}

export interface SpawnedClient {
  readonly name: string;
  readonly peer: ClientPeer;
  readonly mount: LaggingMount;
  /** The index of the first server to connect to. */
  readonly first: number;
}

/** A client that starts a new process for each connection. */
export function startSpawnedClient(
  { name, peer, mount, first }: SpawnedClient,
  { servers, everyMs }: Pick<Round, 'servers' | 'everyMs'>,
  record: RecordHandshake,
): RunningClients {
  const { folder } = mount;
  const ending = new AbortController();
  const connecting = connectInTurn(name, {
    servers,
    everyMs,
    first,
    record,
    signal: ending.signal,
    connect: async ({ port, serverName }) =>
      mount.undisturbed(() => peer.connect({ port, serverName, caFolder: folder, folder })),
  });
  return {
    async stop() {
      ending.abort();
      await connecting;
    },
  };
}
