import { hashFraction } from '../timing/jitter.ts';

/** When the certificates of a replaced root are issued again. */
export interface Reissue {
  /** The id of the rotation. */
  readonly id: string;
  /** When certificates began to switch. */
  readonly since: Date;
  /** Over how long they do, in milliseconds. */
  readonly windowMs: number;
  /** When the present leader began to lead. */
  readonly resumedAt: Date;
}

/**
 * The moment at which a resource switches to the new root: its own within the window, by its UID. What became due while
 * nobody led is spread once more, over as long as it had piled up, so that an operator that comes back late does not make
 * all pods reload at once. That share differs with each leader, so that leaders that never last long still get everywhere.
 */
export function reissueTime({ id, since, windowMs, resumedAt }: Reissue, uid: string): Date {
  const moment = since.getTime() + windowMs * hashFraction(`${id}/${uid}`);
  const missedMs = resumedAt.getTime() - since.getTime();
  if (missedMs <= 0 || moment >= resumedAt.getTime()) return new Date(Math.floor(moment));
  const share = hashFraction(`${id}/${uid}/${resumedAt.getTime()}`);
  return new Date(Math.floor(resumedAt.getTime() + Math.min(missedMs, windowMs) * share));
}
