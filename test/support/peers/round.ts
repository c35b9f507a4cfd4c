import { setTimeout as delay } from 'node:timers/promises';

import type { Outcome } from './peer.ts';

/** Which clients connect to which servers: every client connects to all servers in turn. */
export interface Round {
  readonly clients: readonly { readonly name: string; readonly folder: string }[];
  readonly servers: readonly RoundServer[];
  /** The time between the starts of two connections of a client, if the first one is over by then. */
  readonly everyMs: number;
}

export interface RoundServer {
  readonly name: string;
  /** The name that its certificate must have. */
  readonly serverName: string;
  /** A port of 127.0.0.1, or HOST:PORT. */
  readonly port: string;
}

/** One connection of a client to a server, successful or not. Programs with clients print one as a line of JSON. */
export interface Handshake {
  readonly client: string;
  readonly server: string;
  /** When it ended, in milliseconds since 1970. */
  readonly at: number;
  /** How long it took, including reading the files. */
  readonly tookMs: number;
  /** The serial number of the server certificate, which the client verified. */
  readonly serverSerial?: string;
  readonly clientSerial?: string;
  /** Present if it failed. */
  readonly error?: string;
}

export interface Turns extends Pick<Round, 'servers' | 'everyMs'> {
  /** The index of the first server, so that the clients do not all start with the same one. */
  readonly first: number;
  readonly connect: (server: RoundServer) => Promise<Outcome>;
  readonly record: (handshake: Handshake) => void;
  readonly signal?: AbortSignal;
}

/** Connects one client to all servers in turn until `signal` aborts. Every error counts as a failed handshake. */
export async function connectInTurn(client: string, turns: Turns): Promise<void> {
  const { servers, everyMs, first, connect, record, signal } = turns;
  for (let turn = first; ; turn++) {
    if (signal?.aborted === true) return;
    const server = servers[turn % servers.length];
    if (server === undefined) throw new Error('the list of servers is empty');
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
  if (serverSawSerial === undefined) return { error: 'the server did not send the certificate that it verified' };
  return { serverSerial: peerSerial, clientSerial: serverSawSerial };
}
