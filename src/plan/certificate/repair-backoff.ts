import { spreadDelayMs } from '../timing/jitter.ts';
import { largestCount } from './failed-attempts.ts';

/** Consecutive repairs of a Secret that another client keeps changing. */
export interface Repairs {
  readonly count: number;
  readonly lastTime: Date;
  /** The client and the fields that it changed, for messages. Absent while they are not known. */
  readonly changedBy?: string;
  /**
   * A source of the outputs has changed since: a CRL, or the password of the keystores. Writing the new outputs is not
   * a repair.
   */
  readonly sourcesChanged?: true;
}

/** This many repairs are made without a delay: a user may delete a Secret a few times to get a new one. */
export const freeRepairs = 3;
const pauses = { firstMs: 30_000, longestMs: 20 * 60_000 };
/** Repairs stop counting after the Secret was undamaged for this long. */
const forgottenAfterMs = 3_600_000;

/** The state after one more repair. */
export const afterRepair = (before: Repairs | undefined, now: Date): Repairs => ({
  count: Math.min((before?.count ?? 0) + 1, largestCount),
  lastTime: now,
  ...(before?.changedBy === undefined ? {} : { changedBy: before.changedBy }),
});

/** True when the Secret was undamaged for so long that its repairs no longer count. */
export const isForgotten = ({ lastTime }: Repairs, now: Date): boolean => forgottenAt(lastTime) <= now;

/** When the repairs of a Secret stop counting, if no client damages it until then. */
export const forgottenAt = (lastTime: Date): Date => new Date(lastTime.getTime() + forgottenAfterMs);

/**
 * When a Secret may be repaired again: at once for the first three repairs, then after 30 s, doubling to 20 minutes.
 * Each delay is up to a tenth shorter. That limits repairs to 11 in the first hour and 4 in every further hour.
 */
export function nextRepairTime({ count, lastTime }: Repairs, seed: string): Date {
  if (count < freeRepairs) return lastTime;
  return new Date(lastTime.getTime() + spreadDelayMs(count - freeRepairs, pauses, `${seed}/repair/${count}`));
}
