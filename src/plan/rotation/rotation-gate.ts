import { anchorId } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { podLeavesTime } from '../records/pod-leaves.ts';
import type { RotatedPart } from '../records/pod-record.ts';
import { activeRootInStatus, rootsInStatus } from '../records/status-roots.ts';
import { approveCommand, skipCommand } from '../text/kubectl-command.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { timestamp } from '../timing/timestamp.ts';
import { hasLiveLeavesOfOtherRoots, rootsInPods } from './live-leaves.ts';
import { hasExpired } from './observed-root.ts';
import { type AwaitedPod, countFrozenPods, podLeafHolders } from './pod-evidence.ts';
import type { RolloutObservation } from './rollout-observation.ts';
import {
  countBundles,
  countLeaves,
  type DelayOf,
  type RolloutObject,
  type RolloutProgress,
} from './rollout-progress.ts';
import { type RotationPhase, type RotationState, rootNames, skipsNamespace, skipsPhase } from './rotation-state.ts';
import type { RotationInput } from './rotation-step.ts';

/** The state of the gate of a phase. */
interface Gate {
  /** The conditions that are not met, for messages. Empty when the gate is open. */
  readonly blockers: readonly string[];
  readonly progress: Pick<RolloutProgress, 'done' | 'total'>;
  readonly opensInMs?: number;
  /** See RotationReport. */
  readonly waitsForPods?: true;
  /**
   * The pods that have to restart. Absent before every object has its new content and nodes have had time to load it, and
   * without podEvidence.
   */
  readonly podsToRestart?: readonly AwaitedPod[];
}

/**
 * A gate with blockers that skip-gate does not skip. Approval has an annotation of its own, and status must remember
 * the roots.
 */
interface PhaseGate extends Gate {
  readonly unskippable?: readonly string[];
}

/** The gate of the current phase, without the objects that an administrator skipped. */
export function phaseGate(input: RotationInput, rotation: RotationState, now: Date): Gate {
  const rollout = withoutSkipped(input.rollout, rotation);
  const { unskippable = [], ...gate } = gates[rotation.phase]({ ...input, rollout }, rotation, now);
  if (skipsPhase(rotation)) return { blockers: unskippable, progress: gate.progress };
  return { ...gate, blockers: [...gate.blockers, ...unskippable] };
}

function withoutSkipped(rollout: RolloutObservation, rotation: RotationState): RolloutObservation {
  if (rotation.skipped === undefined) return rollout;
  const isCounted = ({ namespace }: { readonly namespace: string }) => !skipsNamespace(rotation, namespace);
  const { secrets, publications, pods } = rollout;
  const counted = { ...rollout, secrets: secrets.filter(isCounted), publications: publications.filter(isCounted) };
  if (pods === undefined) return counted;
  const all = () => [...pods.all()].filter(isCounted);
  return { ...counted, pods: { ...pods, unknown: pods.unknown.filter(isCounted), all } };
}

// If another client overwrites the Secret, only status remembers the roots. So status must name a root before that root
// signs, and before another root is forgotten.
const gates: Record<RotationPhase, (input: RotationInput, rotation: RotationState, now: Date) => PhaseGate> = {
  // A leaf issued by the new root must not meet a peer that does not trust that root.
  Distributing({ authority, rollout, acceptedDigests: digests, trusted }, rotation, now) {
    const isKnown = rootsInStatus(authority.status).some((root) => anchorId(root) === rotation.new);
    const status = isKnown ? [] : ['status to name the new root'];
    if (onlyNewRootVerifies({ rollout, trusted }, rotation, now)) {
      return { progress: countBundles(rollout, digests, now), blockers: [], unskippable: status };
    }
    const count = (delayOf: DelayOf) => countBundles(rollout, digests, now, delayOf);
    const context = { authority, rollout, rotation, now };
    const gate = withPods(
      propagationGate(count, `${nounFor(rollout)} to hold the new root`, context),
      'roots',
      context,
    );
    const isApproved = authority.spec.rotation.approval === 'Automatic' || rotation.approved !== undefined;
    const unskippable = [...status, ...(isApproved ? [] : [`approval: ${approveCommand(authority, rotation)}`])];
    return { ...gate, unskippable };
  },
  Switching({ authority, rollout }, rotation, now) {
    const progress = countLeaves(rollout, rotation.new, now);
    const condition = `Secrets to hold a certificate issued by ${rootNames(rotation).incoming}`;
    return { progress, blockers: missingBlockers(progress, condition, authority, rotation) };
  },
  // The old root must stay trusted until every peer has loaded its new leaf.
  Draining({ authority, rollout, podLeaves, trusted }, rotation, now) {
    const count = (delayOf: DelayOf) => countLeaves(rollout, rotation.new, now, delayOf);
    const condition = `Secrets to hold a certificate issued by ${rootNames(rotation).incoming}`;
    const isKnown = activeRootInStatus(authority.status) === rotation.new;
    const unskippable = isKnown ? [] : [`status to name ${rootNames(rotation).incoming}`];
    const context = { authority, rollout, rotation, now };
    const gate = withPods(propagationGate(count, condition, context), 'certificate', context);
    return { ...withPodLeaves(gate, { ...context, podLeaves, trusted }), unskippable };
  },
  Retiring({ authority, secret, rollout, acceptedDigests: digests }, rotation, now) {
    const context = { authority, rollout, rotation, now };
    const count = (delayOf?: DelayOf) => countBundles(rollout, digests, now, delayOf);
    const condition = `${nounFor(rollout)} to drop ${rootNames(rotation).outgoing}`;
    const progress = count();
    const gate = { progress, blockers: missingBlockers(progress, condition, authority, rotation) };
    // A pod that still trusts a root which has expired accepts nothing by it.
    if (hasExpired(secret.previous)) return gate;
    const held = withPods(gate, 'roots', context);
    // Only pods that have to restart need the delay: a container that starts earlier may still read the old root.
    if (held.podsToRestart === undefined || held.podsToRestart.length === 0) return held;
    return withPods(propagationGate(count, condition, context), 'roots', context);
  },
};

/** True when every other root has expired. Then no working connection is left that the new root could break. */
const onlyNewRootVerifies = (
  { rollout, trusted }: Pick<RotationInput, 'rollout' | 'trusted'>,
  rotation: RotationState,
  now: Date,
): boolean =>
  trusted.every((root) => anchorId(root) === rotation.new || root.notAfter <= now) &&
  !hasLiveLeavesOfOtherRoots(rollout, rotation.new, now);

interface GateContext {
  readonly authority: AuthorityRecord;
  readonly rollout: RolloutObservation;
  readonly rotation: RotationState;
  readonly now: Date;
}

/** Keeps a gate closed until the pods that never load a change have restarted, if spec.rotation.podEvidence is true. */
function withPods(gate: Gate, part: RotatedPart, { authority, rollout, rotation, now }: GateContext): Gate {
  const unknown = (rollout.pods?.unknown ?? []).map(({ namespace, why }) => {
    const where = namespace === '' ? 'the pods' : `the pods of namespace ${namespace}`;
    return `${where}: ${why} (${skipHint({ namespace }, authority, rotation)})`;
  });
  // A pod that restarts before may read the old content again.
  if (rollout.pods === undefined || gate.blockers.length > 0) {
    return { ...gate, blockers: [...gate.blockers, ...unknown] };
  }
  const { total, stale } = countFrozenPods({ authority, rollout }, rotation, part, delaysOf(authority), now);
  const progress = { total: gate.progress.total + total, done: gate.progress.done + total - stale.length };
  const [first] = stale;
  if (first === undefined) return { ...gate, progress, blockers: unknown, podsToRestart: [] };
  const wait = `${stale.length} of ${total} pods to restart, because they ${withoutRestart(part, rotation)}`;
  const blocker = `${wait}: ${namesOf(stale)} (${skipHint(first, authority, rotation)})`;
  return { ...gate, progress, blockers: [...unknown, blocker], podsToRestart: stale };
}

/** What a pod that never loads a change does until it restarts, for messages. */
function withoutRestart(part: RotatedPart, rotation: RotationState): string {
  if (part === 'certificate') return 'do not load their new certificates otherwise';
  const { incoming, outgoing } = rootNames(rotation);
  return rotation.phase === 'Retiring' ? `still trust ${outgoing}` : `do not load ${incoming} otherwise`;
}

/**
 * Keeps a gate closed until the certificates of pods that an outgoing root has issued have expired. If spec.rotation.podEvidence
 * is true, the gate opens earlier when no pod can hold such a certificate any more.
 */
function withPodLeaves(
  gate: Gate,
  {
    authority,
    rollout,
    rotation,
    podLeaves,
    trusted,
    now,
  }: GateContext & { readonly podLeaves: RotationInput['podLeaves'] | undefined } & Pick<RotationInput, 'trusted'>,
): Gate {
  const moments = rootsInPods(podLeaves, trusted, now).flatMap(({ root, until }) =>
    rotation.old.includes(root) ? until.getTime() : [],
  );
  if (moments.length === 0) return gate;
  const holders = podLeafHolders({ authority, rollout }, rotation);
  if (holders?.length === 0) return gate;
  const until = Math.max(...moments);
  const { blockers, opensInMs, podsToRestart } = gate;
  const condition = `the certificates that ${rootNames(rotation).outgoing} has issued to pods to expire`;
  const orEarlier = holders === undefined ? '' : `, or ${holders.length} pods to get new ones: ${namesOf(holders)}`;
  const hint = skipHint(holders?.[0] ?? { namespace: '' }, authority, rotation);
  // A pod that never reads a new certificate needs a restart, too.
  const frozen = podsToRestart === undefined ? [] : (holders ?? []).filter(({ isFrozen }) => isFrozen);
  const waits = {
    ...gate,
    blockers: [...blockers, `${condition}: until ${timestamp(new Date(until))}${orEarlier} (${hint})`],
    ...(podsToRestart === undefined ? {} : { podsToRestart: [...podsToRestart, ...frozen] }),
  };
  // Objects that are missing or that change need a check each time. A delay ends at a known time.
  if (blockers.length > 0 && opensInMs === undefined) return waits;
  const untilMs = until - podLeavesTime(podLeaves, now).getTime();
  return {
    ...waits,
    opensInMs: Math.max(untilMs, opensInMs ?? 0),
    ...(blockers.length === 0 && frozen.length === 0 ? { waitsForPods: true } : {}),
  };
}

/** How long pods may take to load a change of an object. NaN when spec has no valid duration. */
function delaysOf({ spec: { rotation } }: AuthorityRecord): DelayOf {
  const delayMs = parseDurationMs(rotation.propagationDelay) ?? Number.NaN;
  const floorMs = Math.max(delayMs, parseDurationMs(rotation.clusterTrustBundleDelay) ?? Number.NaN);
  return ({ isClusterTrustBundle }) => (isClusterTrustBundle === true ? floorMs : delayMs);
}

/** A gate that opens when every object meets the condition and pods have had time to load it. */
function propagationGate(
  count: (delayOf: DelayOf) => RolloutProgress,
  condition: string,
  { authority, rotation, now }: GateContext,
): Gate {
  const { propagationDelay, clusterTrustBundleDelay } = authority.spec.rotation;
  const delayMs = parseDurationMs(propagationDelay);
  const floorMs = parseDurationMs(clusterTrustBundleDelay);
  // Possible in a resource that is older than its schema.
  if (delayMs === undefined || floorMs === undefined) {
    const field = delayMs === undefined ? 'propagationDelay' : 'clusterTrustBundleDelay';
    const progress = count(() => Number.POSITIVE_INFINITY);
    return {
      blockers: [
        ...missingBlockers(progress, condition, authority, rotation),
        `spec.rotation.${field} to be a valid duration`,
      ],
      progress,
    };
  }
  const isFloor = ({ isClusterTrustBundle }: RolloutObject) => isClusterTrustBundle === true && floorMs > delayMs;
  const progress = count(delaysOf(authority));
  const { missing, changedAgain, slowest } = progress;
  const blockers = [
    ...missingBlockers(progress, condition, authority, rotation),
    ...changingBlockers(progress, condition, authority, rotation),
  ];
  if (slowest === undefined || missing.length > 0) return { blockers, progress };
  const opensInMs = slowest.settlesInMs;
  if (changedAgain.length > 0) return { blockers, progress, opensInMs };
  const until = timestamp(new Date(now.getTime() + opensInMs));
  const wait = isFloor(slowest.object)
    ? `every node to load the ClusterTrustBundle: until ${until} (clusterTrustBundleDelay ${clusterTrustBundleDelay})`
    : `pods to load the last change: until ${until} (propagationDelay ${propagationDelay})`;
  return { blockers: [wait], progress, opensInMs };
}

function missingBlockers(
  { total, missing }: RolloutProgress,
  condition: string,
  authority: AuthorityRecord,
  rotation: RotationState,
): string[] {
  const [first] = missing;
  if (first === undefined) return [];
  return [`${missing.length} of ${total} ${condition}: ${namesOf(missing)} (${skipHint(first, authority, rotation)})`];
}

/** Names the objects that another client keeps changing. Their delay starts over with each change. */
function changingBlockers(
  { total, changedAgain }: RolloutProgress,
  condition: string,
  authority: AuthorityRecord,
  rotation: RotationState,
): string[] {
  const [first] = changedAgain;
  if (first === undefined) return [];
  const names = namesOf(changedAgain, ({ changeCount: changes = 0 }) => `changed ${changes} times`);
  const still = `${condition} and to stay unchanged: ${names}`;
  return [`${changedAgain.length} of ${total} ${still} (${skipHint(first, authority, rotation)})`];
}

function namesOf(
  objects: readonly RolloutObject[],
  detail: (one: RolloutObject) => string | undefined = ({ detail }) => detail,
): string {
  const named = sampleByNamespace(objects).map((one) => {
    const more = detail(one);
    return more === undefined ? one.displayName : `${one.displayName} (${more})`;
  });
  return `${named.join(', ')}${objects.length > namesInMessage ? ', …' : ''}`;
}

const namesInMessage = 3;

/**
 * The objects to name in a message. When not all fit, objects of different namespaces come first, so that one namespace
 * with many objects does not hide the others.
 */
function sampleByNamespace(objects: readonly RolloutObject[]): readonly RolloutObject[] {
  if (objects.length <= namesInMessage) return objects;
  const seen = new Set<string>();
  const firsts = objects.filter(({ namespace }) => !seen.has(namespace) && seen.add(namespace));
  return [...new Set([...firsts, ...objects])].slice(0, namesInMessage);
}

/** The narrowest skip for this object. */
function skipHint(
  { namespace }: Pick<RolloutObject, 'namespace'>,
  authority: AuthorityRecord,
  rotation: RotationState,
): string {
  const scope = namespace === '' ? `the phase ${rotation.phase}` : `namespace ${namespace}`;
  return `to skip ${scope}: ${skipCommand(authority, rotation, namespace)}`;
}

const nounFor = ({ publications }: RolloutObservation): string =>
  publications.length === 0 ? 'Secrets' : 'Secrets and bundles';
