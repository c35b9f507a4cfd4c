import { isLive } from './live-leaves.ts';
import type { Publication, RolloutObservation } from './rollout-observation.ts';

/** A Secret or a published bundle. */
export type RolloutObject = Omit<Publication, 'bundle'>;

/** How long pods may take to load a change of an object, in milliseconds. */
export type DelayOf = (one: RolloutObject) => number;
const noDelay: DelayOf = () => 0;

/** The progress of a phase. An object is done when it meets the gate and its delay has passed. */
export interface RolloutProgress {
  readonly total: number;
  readonly done: number;
  /** The objects that do not meet the gate. */
  readonly missing: readonly RolloutObject[];
  /** The objects that meet the gate but keep changing, so that their delay starts over. */
  readonly changedAgain: readonly RolloutObject[];
  /** The object that meets the gate and whose delay ends last. Absent when no delay is left. */
  readonly slowest?: { readonly object: RolloutObject; readonly settlesInMs: number };
}

/** Counts the live Secrets and the publications that hold one of these bundles. */
export function countBundles(
  { secrets, publications, monotonicMs }: RolloutObservation,
  digests: readonly string[],
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  // A pod that mounts a Secret without a valid leaf has no working connection to lose, and the repair writes the right
  // bundle.
  const counted = [...secrets.filter((secret) => isLive(secret, now)), ...publications];
  const isRight = ({ bundle }: { readonly bundle?: string }) => bundle !== undefined && digests.includes(bundle);
  return progress(counted, isRight, monotonicMs, delayOf);
}

/** Counts the live Secrets whose leaf was issued by this root. Secrets with an expired leaf do not count. */
export function countLeaves(
  { secrets, monotonicMs }: RolloutObservation,
  root: string,
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  const live = secrets.filter((secret) => isLive(secret, now));
  return progress(live, ({ bundle, leaf }) => bundle !== undefined && leaf?.root === root, monotonicMs, delayOf);
}

/** The operator itself causes the first change in a phase. */
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
