import assert from 'node:assert/strict';

import { eventually } from '../eventually.ts';
import type { Handshake } from '../peers/round.ts';

/** A handshake, and by their fingerprints the roots that had signed the two certificates, if it came to pass. */
export interface Entry extends Handshake {
  readonly serverRoot: string | undefined;
  readonly clientRoot: string | undefined;
}

/** All handshakes of a mesh. */
export interface Ledger {
  readonly entries: readonly Entry[];
  readonly failed: readonly Entry[];
  /** The longest that one took, in milliseconds. */
  readonly slowestMs: number;
  record(handshake: Entry): void;
  /** Waits until each client has met each server once more, and returns what was recorded meanwhile. */
  everyPairMeets(): Promise<readonly Entry[]>;
}

export function ledgerFor(clients: readonly string[], servers: readonly string[]): Ledger {
  const entries: Entry[] = [];
  const failed: Entry[] = [];
  let slowestMs = 0;
  return {
    entries,
    failed,
    get slowestMs() {
      return slowestMs;
    },
    record(handshake) {
      entries.push(handshake);
      if (handshake.error !== undefined) failed.push(handshake);
      slowestMs = Math.max(slowestMs, handshake.tookMs);
    },
    async everyPairMeets() {
      const begin = entries.length;
      // What was under way already does not count.
      const since = Date.now();
      return eventually(
        () => {
          const met = new Set<string>();
          for (const { client, server, at, tookMs } of entries.slice(begin)) {
            if (at - tookMs >= since) met.add(`${client} and ${server}`);
          }
          const missing = clients.flatMap((client) =>
            servers.map((server) => `${client} and ${server}`).filter((pair) => !met.has(pair)),
          );
          assert.equal(missing.length, 0, `${missing.length} pairs have not met, ${missing[0]} for one`);
          return entries.slice(begin);
        },
        { timeoutMs: 300_000, message: 'the mesh stands still' },
      );
    },
  };
}
