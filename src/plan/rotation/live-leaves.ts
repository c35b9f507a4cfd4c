import { anchorId, type Certificate } from '../../pki/index.ts';
import { type ObservedPodLeaves, podLeavesTime, recordedUntil } from '../records/pod-leaves.ts';
import type { IssuedSecret, RolloutObservation } from './rollout-observation.ts';

/**
 * Returns whether an issuer has leaves that a peer may present. These are unexpired leaves, and leaves that were
 * replaced so recently that pods may not have loaded the next ones. If the issuer of a live leaf is unknown, or the
 * operator could not read a Secret, the answer is true for every issuer.
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
  const areKnown =
    !mayHoldAnyLeaf({ secrets }) && live.filter(isOfKnownRoot).every(({ leaf }) => leaf?.issuer !== undefined);
  // A lost Secret has no time of its last change: its leaf counts until it expires.
  const areLoaded = live.every(({ changedAtMs }) => changedAtMs === Infinity || monotonicMs - changedAtMs >= settleMs);
  return { issuers, isComplete: areKnown && areLoaded };
}

/**
 * True when a peer may present a leaf that another trusted root issued. A leaf of an unknown root does not count: no
 * peer accepts it, and any client can put one into a Secret.
 */
export const hasLiveLeavesOfOtherRoots = ({ secrets }: RolloutObservation, root: string, now: Date): boolean =>
  secrets.some((secret) => isLive(secret, now) && isOfKnownRoot(secret) && secret.leaf?.root !== root);

/**
 * As hasLiveLeavesOfOtherRoots, and also true when a pod may hold such a leaf, or the operator could not read a Secret or a
 * namespace. A new root that signs at once needs this answer: peers in such a namespace may not trust the new root yet.
 */
export const mayHaveLiveLeavesOfOtherRoots = (
  { rollout, podLeaves, trusted }: LeafSources,
  root: string,
  now: Date,
): boolean =>
  mayHoldAnyLeaf(rollout) ||
  hasLiveLeavesOfOtherRoots(rollout, root, now) ||
  rootsInPods(podLeaves, trusted, now).some((other) => other.root !== root);

/** Where leaves can be: in Secrets and in pods. */
interface LeafSources {
  readonly rollout: RolloutObservation;
  readonly podLeaves?: ObservedPodLeaves;
  readonly trusted: readonly Certificate[];
}

/** The roots whose certificates pods may still hold. No certificate of a root that has expired or is not trusted works. */
export const rootsInPods = (
  podLeaves: ObservedPodLeaves | undefined,
  trusted: readonly Certificate[],
  now: Date,
): { readonly root: string; readonly until: Date }[] => {
  const at = podLeavesTime(podLeaves, now);
  return trusted.flatMap((certificate) => {
    const root = anchorId(certificate);
    const until = recordedUntil(podLeaves, root);
    return until !== undefined && until > at && certificate.notAfter > at ? { root, until } : [];
  });
};

const mayHoldAnyLeaf = ({ secrets }: Pick<RolloutObservation, 'secrets'>): boolean =>
  secrets.some((secret) => secret.mayHoldAnyLeaf === true);

const isOfKnownRoot = ({ leaf }: IssuedSecret): boolean => leaf?.root !== undefined;

/** True for a Secret with an unexpired leaf, which a peer may present. */
export const isLive = ({ leaf }: IssuedSecret, now: Date): boolean => leaf !== undefined && leaf.notAfter > now;
