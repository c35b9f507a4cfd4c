import assert from 'node:assert/strict';

import type { RotatedAuthority } from './authority.ts';
import type { Entry, Ledger } from './ledger.ts';

/** What a report says about. */
export interface ReportedMesh {
  readonly ledger: Ledger;
  readonly authority: RotatedAuthority;
  readonly servers: readonly ReportedParty[];
  readonly clients: readonly ReportedParty[];
}

interface ReportedParty {
  readonly name: string;
  readonly peer: { readonly name: string };
}

/** The number of handshakes by phase of the rotation. */
export function describeTraffic({ ledger, authority }: ReportedMesh): string {
  const counts = new Map<string, { made: number; failed: number }>();
  for (const { at, error } of ledger.entries) {
    const phase = authority.phaseAt(at);
    const { made, failed } = counts.get(phase) ?? { made: 0, failed: 0 };
    counts.set(phase, { made: made + 1, failed: failed + (error === undefined ? 0 : 1) });
  }
  return [...counts].map(([phase, { made, failed }]) => `${phase}: ${made} handshakes, ${failed} failed`).join('; ');
}

/** The first failed handshakes, with time, phase, peers and error. */
export function describeFailures({ ledger, authority, servers, clients }: ReportedMesh): string {
  const programOf = (peers: readonly ReportedParty[], name: string): string | undefined =>
    peers.find((candidate) => candidate.name === name)?.peer.name;
  const describe = ({ at, client, server, error }: Entry): string => {
    const pair = `client ${client} on ${programOf(clients, client)}, server ${server} on ${programOf(servers, server)}`;
    return `${new Date(at).toISOString()}, ${authority.phaseAt(at)}: ${pair}: ${error}`;
  };
  const { entries, failed } = ledger;
  return `${failed.length} of ${entries.length} handshakes failed:\n${failed.slice(0, 10).map(describe).join('\n')}`;
}

/** How long a delay a test gave the programs, and how long they took. */
interface Pace {
  /** What the programs had to load: `a Secret`. */
  readonly what: string;
  readonly delayMs: number;
  readonly slowestMs: number;
}

/** Handshakes have failed, and the machine was too slow for the delay: they are not the operator's fault. */
class TooSlow extends Error {
  constructor({ what, delayMs, slowestMs }: Pace) {
    super(
      `This machine is too slow for a propagation delay of ${delayMs} ms: it took ${slowestMs} ms until ${what} was in use. The failed handshakes are not the operator's fault`,
    );
  }
}

/** Asserts that no handshake has failed, and says so when the machine was too slow for the test. */
export function assertNoneFailed(mesh: ReportedMesh, pace: () => Pace): void {
  if (mesh.ledger.failed.length === 0) return;
  const now = pace();
  if (now.slowestMs >= now.delayMs) throw new TooSlow(now);
  assert.fail(describeFailures(mesh));
}

/** How often a machine may have been too slow. */
const attempts = 4;

/**
 * Carries out a rotation that measures the machine for its delay. The load may grow after the measurement. If the machine was too
 * slow, this forgives the failed handshakes, and rotates again with a longer delay.
 */
export async function untilFastEnough({ ledger }: ReportedMesh, rotate: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rotate();
    } catch (error) {
      if (!(error instanceof TooSlow) || attempt === attempts) throw error;
      console.log(`${error.message}. The rotation is repeated.`);
      ledger.forgive();
    }
  }
}

/** The traffic, and how long the programs took. */
export const describeRun = (mesh: ReportedMesh, { what, slowestMs }: Pace): string =>
  `${describeTraffic(mesh)}; ${what} was in use after ${Math.round(slowestMs)} ms at most`;
