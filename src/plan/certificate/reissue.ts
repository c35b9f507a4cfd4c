import { hashFraction } from '../timing/jitter.ts';

/** The schedule on which certificates issued by a replaced root are issued again. */
export interface Reissue {
  /** The id of the rotation. */
  readonly id: string;
  /** The start of the phase Switching. */
  readonly since: Date;
  /** The length of the window over which the certificates are spread, in milliseconds. */
  readonly windowMs: number;
  /** When the current leader started to lead. */
  readonly resumedAt: Date;
}

/**
 * The time at which a resource switches to the new root. Each resource has its own time in the window, derived from its
 * UID. Certificates that became due while no replica led are spread again, over as long as there was no leader:
 * otherwise an operator that returns late would make all pods reload at once. The second spread differs for each
 * leader, so that a series of short-lived leaders still reaches every resource.
 */
export function reissueTime({ id, since, windowMs, resumedAt }: Reissue, uid: string): Date {
  const moment = since.getTime() + windowMs * hashFraction(`${id}/${uid}`);
  const missedMs = resumedAt.getTime() - since.getTime();
  if (missedMs <= 0 || moment >= resumedAt.getTime()) return new Date(Math.floor(moment));
  const share = hashFraction(`${id}/${uid}/${resumedAt.getTime()}`);
  return new Date(Math.floor(resumedAt.getTime() + Math.min(missedMs, windowMs) * share));
}
