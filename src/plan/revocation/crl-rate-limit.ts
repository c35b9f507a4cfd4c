import { type Issuer, isCrlOf } from '../../pki/index.ts';
import { doubledMs } from '../timing/jitter.ts';
import { type CrlPlan, planCrls } from './crl-plan.ts';
import { nextRoomAt, signedAt } from './crl-schedule.ts';
import { crlSigners } from './crl-signers.ts';
import type { CrlContext, Revocation, RevocationState } from './revocation-state.ts';

/**
 * The shortest time between two signings for requests to revoke, in milliseconds. Requests in this time share one
 * signing, because each change of a CRL is written to every namespace that has it. The first request after a quiet time
 * does not wait.
 */
export const crlIntervalMs = 5000;

/** The interval grows by this much for each object that holds the CRL: 1,000 objects make it 20 s. */
const intervalMsPerPublication = 20;

/** A namespace may cause this many signings at the interval. After that, its own requests wait longer each time. */
const signingsAtInterval = 6;

/**
 * The delay of a namespace after that many signings, counted from the last signing with one of its requests. It doubles each
 * time.
 */
const pauses = { firstMs: 10_000, longestMs: 5 * 60_000 };

/** The delay starts over after this time without a revocation. It is longer than the longest delay. */
const quietMs = 10 * 60_000;

/** The plan, and when to plan again without an event. */
export interface RateLimitedCrls {
  readonly plan?: CrlPlan;
  readonly nextAt?: Date;
}

/** The inputs of the plan that do not come from the current root Secret. */
export interface RateContext extends CrlContext {
  /** Counts the objects that hold the CRLs. It is called only when requests may have to wait. */
  readonly publicationCount?: () => number;
}

/**
 * Plans the CRLs of an authority like planCrls, but collects requests that come shortly after each other. A namespace
 * with frequent requests waits longer, unless a CRL is signed for another namespace in the meantime.
 */
export function planCrlsWithinRate(
  state: RevocationState,
  signers: readonly Issuer[],
  requested: readonly Revocation[],
  now: Date,
  context: RateContext = {},
): RateLimitedCrls {
  const plan = planCrls(state, signers, requested, now, context);
  const open = unlistedLeaves(state, requested);
  if (plan === undefined) {
    const nextAt = open.length > 0 ? nextRoomAt(state, now) : undefined;
    return nextAt === undefined ? {} : { nextAt };
  }
  const earliestMs = lastSigningMs(state, signers, now) + intervalMs(context);
  const dueMs = dueMoments(state, earliestMs, now);
  const due = open.filter(({ namespace }) => dueMs(namespace) <= now.getTime());
  // A signing for another namespace, or for another reason, includes all requests.
  const isDue = due.length === open.length || planCrls(state, signers, due, now, context) !== undefined;
  if (isDue) return { plan };
  // Due requests wait for room on the CRL.
  const roomAt = due.length > 0 ? nextRoomAt(state, now) : undefined;
  const nextMs = open
    .map(({ namespace }) => dueMs(namespace))
    .filter((ms) => ms > now.getTime())
    .reduce((a, b) => Math.min(a, b), roomAt?.getTime() ?? Number.POSITIVE_INFINITY);
  return { nextAt: new Date(nextMs) };
}

/** The leaves that wait for room on the CRL, for the end of a delay, or for the key of their issuer. */
function unlistedLeaves({ revocations }: RevocationState, requested: readonly Revocation[]): Revocation[] {
  const present = new Set(revocations.map(({ serialNumber }) => serialNumber));
  return requested.filter(({ serialNumber }) => !present.has(serialNumber));
}

const intervalMs = ({ publicationCount = () => 0 }: RateContext): number =>
  Math.max(crlIntervalMs, publicationCount() * intervalMsPerPublication);

/**
 * When a CRL was last signed for a request; minus infinity when there is none. An empty CRL was not signed for a
 * request.
 */
function lastSigningMs({ crls }: RevocationState, signers: readonly Issuer[], now: Date): number {
  const cas = crlSigners(signers).map(({ certificate }) => certificate);
  return (
    crls
      .filter((crl) => crl.revoked.length > 0 && cas.some((ca) => isCrlOf(crl, ca)))
      .map((crl) => signedAt(crl).getTime())
      // A later time means that the clock was set back.
      .filter((ms) => ms <= now.getTime())
      .reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  );
}

/**
 * When a CRL can be signed for a namespace, by shareName: when the interval has passed, and the namespace's own delay
 * is over.
 */
function dueMoments(
  { revocations }: RevocationState,
  earliestMs: number,
  now: Date,
): (namespace: string | undefined) => number {
  const byNamespace = Map.groupBy(revocations, ({ namespace }) => namespace);
  const known = new Map<string, number>();
  return (namespace) => {
    // An entry without a known namespace delays no namespace.
    if (namespace === undefined) return earliestMs;
    const dueMs = known.get(namespace) ?? Math.max(earliestMs, pauseEndMs(byNamespace.get(namespace) ?? [], now));
    known.set(namespace, dueMs);
    return dueMs;
  };
}

/** When the delay of a namespace with these entries ends. Entries of one signing have the same date. */
function pauseEndMs(entries: readonly Revocation[], now: Date): number {
  const moments = [...new Set(entries.map(({ revokedAt }) => revokedAt.getTime()))]
    .filter((ms) => ms <= now.getTime())
    .sort((a, b) => b - a);
  const [last = Number.NEGATIVE_INFINITY] = moments;
  const quiet = moments.findIndex((ms, i) => ms - (moments[i + 1] ?? Number.NEGATIVE_INFINITY) > quietMs);
  const more = quiet + 1 - signingsAtInterval;
  return more < 0 ? last : last + doubledMs(more, pauses);
}
