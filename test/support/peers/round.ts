import { setTimeout as delay } from 'node:timers/promises';

import type { Outcome } from './peer.ts';

/** Who connects to whom: every client to one server after the other. */
export interface Round {
  readonly clients: readonly { readonly name: string; readonly folder: string }[];
  readonly servers: readonly RoundServer[];
  /** From the start of one connection of a client to that of its next, if it is over by then. */
  readonly everyMs: number;
}

export interface RoundServer {
  readonly name: string;
  /** What its certificate has to be for. */
  readonly serverName: string;
  readonly port: string;
}

/** One connection of a client to a server, whatever became of it: the line that a program with clients prints for it. */
export interface Handshake {
  readonly client: string;
  readonly server: string;
  /** When it was over, in milliseconds since 1970. */
  readonly at: number;
  /** How long before that the client began to read its files. */
  readonly tookMs: number;
  /** The serial number of the certificate that the client, or the server, verified. */
  readonly serverSerial?: string;
  readonly clientSerial?: string;
  /** Present when it failed. */
  readonly error?: string;
}

export interface Turns extends Pick<Round, 'servers' | 'everyMs'> {
  /** Which server is the first, so that not all clients go to the same one. */
  readonly first: number;
  readonly connect: (server: RoundServer) => Promise<Outcome>;
  readonly record: (handshake: Handshake) => void;
  readonly signal?: AbortSignal;
}

/** Connects one client to one server after the other until `signal` ends it. Whatever goes wrong is a failed handshake. */
export async function connectInTurn(client: string, turns: Turns): Promise<void> {
  const { servers, everyMs, first, connect, record, signal } = turns;
  for (let turn = first; ; turn++) {
    if (signal?.aborted === true) return;
    const server = servers[turn % servers.length];
    if (server === undefined) throw new Error('there is no server');
    const started = performance.now();
    const outcome = await connect(server).catch((error: unknown) => ({ ok: false, error: String(error) }) as const);
    const tookMs = performance.now() - started;
    record({ client, server: server.name, at: Date.now(), tookMs, ...resultOf(outcome) });
    await delay(Math.max(0, everyMs - tookMs));
  }
}

function resultOf(outcome: Outcome): Pick<Handshake, 'serverSerial' | 'clientSerial' | 'error'> {
  if (!outcome.ok) return { error: outcome.error };
  const { peerSerial, serverSawSerial } = outcome;
  if (serverSawSerial === undefined) return { error: 'the server does not say which certificate it verified' };
  return { serverSerial: peerSerial, clientSerial: serverSawSerial };
}
