import type { IssuedSecret, RolloutObservation } from './rollout-observation.ts';

/**
 * Tells which issuers have leaves that a peer may present: unexpired ones, and those that were replaced so lately that pods
 * may not have loaded the next ones. A leaf of a known root whose issuer is not known may be of any.
 * @param settleMs how long pods may take to load a change
 */
export function issuersInUse(rollout: RolloutObservation, settleMs: number, now: Date): (issuer: string) => boolean {
  let known: { readonly issuers: ReadonlySet<string>; readonly isComplete: boolean } | undefined;
  return (issuer) => {
    known ??= issuersOfLive(rollout, settleMs, now);
    return !known.isComplete || known.issuers.has(issuer);
  };
}

function issuersOfLive({ secrets, monotonicMs }: RolloutObservation, settleMs: number, now: Date) {
  const live = secrets.filter((secret) => isLive(secret, now));
  const issuers = new Set(live.flatMap(({ leaf }) => leaf?.issuer ?? []));
  const areKnown = live.filter(isOfKnownRoot).every(({ leaf }) => leaf?.issuer !== undefined);
  // What is lost has no moment of its own: it counts as long as its leaf lasts.
  const areLoaded = live.every(({ changedAtMs }) => changedAtMs === Infinity || monotonicMs - changedAtMs >= settleMs);
  return { issuers, isComplete: areKnown && areLoaded };
}

/**
 * True when a peer may present a leaf of another root than this one, and be let in with it. No peer lets in a leaf of a root
 * that the authority does not know: anybody can put one into a Secret of their own.
 */
export const hasLiveLeavesOfOtherRoots = ({ secrets }: RolloutObservation, root: string, now: Date): boolean =>
  secrets.some((secret) => isLive(secret, now) && isOfKnownRoot(secret) && secret.leaf?.root !== root);

const isOfKnownRoot = ({ leaf }: IssuedSecret): boolean => leaf?.root !== undefined;

/** True for a Secret with a leaf that has not expired: a peer may present it. */
export const isLive = ({ leaf }: IssuedSecret, now: Date): boolean => leaf !== undefined && leaf.notAfter > now;
