import { isLive } from './live-leaves.ts';
import type { Publication, RolloutObservation } from './rollout-observation.ts';

/** A Secret or a published bundle. */
export type RolloutObject = Omit<Publication, 'bundle'>;

/** How long pods may take to load a change of an object, in milliseconds. */
export type DelayOf = (one: RolloutObject) => number;
const noDelay: DelayOf = () => 0;

/** What a phase waits for, counted. An object is done when it is as the phase needs it, and has been for its delay. */
export interface RolloutProgress {
  readonly total: number;
  readonly done: number;
  /** What is not as the phase needs it. */
  readonly missing: readonly RolloutObject[];
  /** What is, but has changed again and again, so that its delay starts over. */
  readonly changedAgain: readonly RolloutObject[];
  /** Of what is as it should be, the one whose delay ends last; absent when there is none. */
  readonly slowest?: { readonly object: RolloutObject; readonly settlesInMs: number };
}

/** Counts the Secrets and publications that hold one of these bundles. */
export function countBundles(
  { secrets, publications, monotonicMs }: RolloutObservation,
  digests: readonly string[],
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  // Whoever mounts a Secret without a leaf that works has no connection to lose; it is repaired with the right bundle.
  const counted = [...secrets.filter((secret) => isLive(secret, now)), ...publications];
  const isRight = ({ bundle }: { readonly bundle?: string }) => bundle !== undefined && digests.includes(bundle);
  return progress(counted, isRight, monotonicMs, delayOf);
}

/** Counts the Secrets whose leaf is of this root. One that has expired is nobody's concern any more. */
export function countLeaves(
  { secrets, monotonicMs }: RolloutObservation,
  root: string,
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  const live = secrets.filter((secret) => isLive(secret, now));
  return progress(live, ({ bundle, leaf }) => bundle !== undefined && leaf?.root === root, monotonicMs, delayOf);
}

/** The first change in a phase is the operator's. */
const changesToName = 2;

function progress<T extends RolloutObject>(
  counted: readonly T[],
  isRight: (one: T) => boolean,
  monotonicMs: number,
  delayOf: DelayOf,
): RolloutProgress {
  const [missing, changedAgain]: [RolloutObject[], RolloutObject[]] = [[], []];
  let done = 0;
  let slowest: RolloutProgress['slowest'];
  for (const one of counted) {
    if (!isRight(one)) {
      missing.push(one);
      continue;
    }
    const settlesInMs = delayOf(one) - (monotonicMs - one.changedAtMs);
    if (settlesInMs <= 0) {
      done += 1;
      continue;
    }
    if ((one.changeCount ?? 0) >= changesToName) changedAgain.push(one);
    if (slowest === undefined || settlesInMs > slowest.settlesInMs) slowest = { object: one, settlesInMs };
  }
  return { total: counted.length, done, missing, changedAgain, ...(slowest === undefined ? {} : { slowest }) };
}
