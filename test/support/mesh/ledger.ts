import assert from 'node:assert/strict';

import { eventually } from '../eventually.ts';
import type { Handshake } from '../peers/round.ts';

/** A handshake, and if it succeeded, the fingerprints of the roots that signed the two certificates. */
export interface Entry extends Handshake {
  readonly serverRoot: string | undefined;
  readonly clientRoot: string | undefined;
}

/** All handshakes of a mesh. */
export interface Ledger {
  readonly entries: readonly Entry[];
  readonly failed: readonly Entry[];
  /** The duration of the slowest handshake that ended at `time` or later, in milliseconds. */
  slowestMs(time: number): number;
  record(handshake: Entry): void;
  /** Removes the failed handshakes so far from `failed`. */
  forgive(): void;
  /** Waits until each client has connected to each server once more. Returns the handshakes that began after the call. */
  everyPairMeets(): Promise<readonly Entry[]>;
}

export function ledgerFor(clients: readonly string[], servers: readonly string[]): Ledger {
  const entries: Entry[] = [];
  const failed: Entry[] = [];
  return {
    entries,
    failed,
    slowestMs: (time) => entries.reduce((most, { at, tookMs }) => (at < time ? most : Math.max(most, tookMs)), 0),
    record(handshake) {
      entries.push(handshake);
      if (handshake.error !== undefined) failed.push(handshake);
    },
    forgive: () => void failed.splice(0),
    async everyPairMeets() {
      const begin = entries.length;
      const since = Date.now();
      return eventually(
        () => {
          const begun = entries.slice(begin).filter(({ at, tookMs }) => at - tookMs >= since);
          const met = new Set(begun.map(({ client, server }) => `${client} and ${server}`));
          const pairs = clients.flatMap((client) => servers.map((server) => `${client} and ${server}`));
          const missing = pairs.filter((pair) => !met.has(pair));
          assert.equal(missing.length, 0, `${missing.length} pairs have not connected, for instance ${missing[0]}`);
          return begun;
        },
        { timeoutMs: 300_000, message: 'the clients of the mesh no longer connect' },
      );
    },
  };
}

/** The roots of server and client in successful handshakes. */
export function rootsSeen(entries: readonly Entry[]): string[] {
  const met = entries.filter(({ error }) => error === undefined);
  return [...new Set(met.map(({ serverRoot, clientRoot }) => `${serverRoot} ${clientRoot}`))].sort();
}

/** What `rootsSeen` returns if servers and clients with each of these roots have connected to each other. */
export function allPairs(...roots: readonly string[]): string[] {
  return roots.flatMap((server) => roots.map((client) => `${server} ${client}`)).sort();
}
