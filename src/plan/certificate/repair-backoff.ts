import { spreadDelayMs } from '../timing/jitter.ts';
import { largestCount } from './failed-attempts.ts';

/** How often the operator has undone what another writer did to a Secret, in a row. */
export interface Repairs {
  readonly count: number;
  readonly lastTime: Date;
  /** The writer and the fields that it changed, in words; absent while that is not known. */
  readonly changedBy?: string;
  /** What outputs are made from has changed since: a CRL, or the password of the keystores. A write for that undoes nothing. */
  readonly sourcesChanged?: true;
}

/** So many repairs are made at once: a person may delete a Secret twice to see it made again. */
export const freeRepairs = 3;
const pauses = { firstMs: 30_000, longestMs: 20 * 60_000 };
/** A Secret that nobody has damaged for as long is as good as one that nobody ever has. */
const forgottenAfterMs = 3_600_000;

/** The state after one more repair. */
export const afterRepair = (before: Repairs | undefined, now: Date): Repairs => ({
  count: Math.min((before?.count ?? 0) + 1, largestCount),
  lastTime: now,
  ...(before?.changedBy === undefined ? {} : { changedBy: before.changedBy }),
});

/** True when a Secret has been left alone for so long that its repairs do not count any more. */
export const isForgotten = ({ lastTime }: Repairs, now: Date): boolean => forgottenAt(lastTime) <= now;

/** When the repairs of a Secret stop counting, if it is left alone until then. */
export const forgottenAt = (lastTime: Date): Date => new Date(lastTime.getTime() + forgottenAfterMs);

/**
 * When a Secret may be repaired again: at once after the first three times, then after 30 s, doubling to 20 minutes, each
 * up to a tenth shorter. In an hour that is 11 repairs at most, and 4 in every further hour.
 */
export function nextRepairTime({ count, lastTime }: Repairs, seed: string): Date {
  if (count < freeRepairs) return lastTime;
  return new Date(lastTime.getTime() + spreadDelayMs(count - freeRepairs, pauses, `${seed}/repair/${count}`));
}
