import { anchorId } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { rememberedActiveRoot, rememberedRoots } from '../records/remembered-roots.ts';
import { approveCommand, skipCommand } from '../text/kubectl-command.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { timestamp } from '../timing/timestamp.ts';
import {
  type Counted,
  countBundles,
  countLeaves,
  type DelayOf,
  otherLeavesLive,
  type RolloutObservation,
  type RolloutProgress,
} from './rollout.ts';
import { type RotationPhase, type RotationState, rootsInWords, skipsNamespace, skipsPhase } from './rotation-state.ts';
import type { RotationInput } from './rotation-step.ts';

/** What the gate of a phase says. */
interface Gate {
  /** What is waited for, in words; empty when the gate is open. */
  readonly waits: readonly string[];
  readonly progress: RolloutProgress;
  readonly opensInMs?: number;
}

/** The same, with what nobody can skip: approval has an annotation of its own, and status is the operator's memory. */
interface PhaseGate extends Gate {
  readonly holds?: readonly string[];
}

/** What the present phase waits for, without what a person has skipped. */
export function gateOf(input: RotationInput, note: RotationState, now: Date): Gate {
  const rollout = withoutSkipped(input.rollout, note);
  const { holds = [], ...gate } = gates[note.phase]({ ...input, rollout }, note, now);
  if (skipsPhase(note)) return { waits: holds, progress: gate.progress };
  return { ...gate, waits: [...gate.waits, ...holds] };
}

function withoutSkipped(rollout: RolloutObservation, note: RotationState): RolloutObservation {
  if (note.skipped === undefined) return rollout;
  const isCounted = ({ namespace }: { readonly namespace: string }) => !skipsNamespace(note, namespace);
  const { secrets, publications } = rollout;
  return { ...rollout, secrets: secrets.filter(isCounted), publications: publications.filter(isCounted) };
}

// Status is what remembers the roots should somebody write over the Secret: it has to name one before it signs, and before
// another one is forgotten.
const gates: Record<RotationPhase, (input: RotationInput, note: RotationState, now: Date) => PhaseGate> = {
  // A leaf of the new root must not meet a peer that does not know it.
  Distributing({ authority, rollout, digests, trusted }, note, now) {
    const isKnown = rememberedRoots(authority.status).some((root) => anchorId(root) === note.new);
    const status = isKnown ? [] : ['status to name the new root'];
    if (nothingElseVerifies({ rollout, trusted }, note, now)) {
      return { progress: countBundles(rollout, digests, now), waits: [], holds: status };
    }
    const count = (delayOf: DelayOf) => countBundles(rollout, digests, now, delayOf);
    const gate = settled(count, `${nounFor(rollout)} to carry the new root`, { authority, note, now });
    const isApproved = authority.spec.rotation.approval === 'Automatic' || note.approved !== undefined;
    const holds = [...status, ...(isApproved ? [] : [`approval: ${approveCommand(authority, note)}`])];
    return { ...gate, holds };
  },
  Switching({ authority, rollout }, note, now) {
    const progress = countLeaves(rollout, note.new, now);
    const what = `Secrets to have a certificate of ${rootsInWords(note).comes}`;
    return { progress, waits: waitsFor(progress, what, authority, note) };
  },
  // A peer that still shows a leaf of the old root must be trusted until it has loaded the new one.
  Draining({ authority, rollout }, note, now) {
    const count = (delayOf: DelayOf) => countLeaves(rollout, note.new, now, delayOf);
    const what = `Secrets to have a certificate of ${rootsInWords(note).comes}`;
    const isKnown = rememberedActiveRoot(authority.status) === note.new;
    const holds = isKnown ? [] : [`status to name ${rootsInWords(note).comes}`];
    return { ...settled(count, what, { authority, note, now }), holds };
  },
  Retiring({ authority, rollout, digests }, note, now) {
    const progress = countBundles(rollout, digests, now);
    const what = `${nounFor(rollout)} to be without ${rootsInWords(note).goes}`;
    return { progress, waits: waitsFor(progress, what, authority, note) };
  },
};

/** True when every other root has expired: then no connection works that the new root could break. */
const nothingElseVerifies = (
  { rollout, trusted }: Pick<RotationInput, 'rollout' | 'trusted'>,
  note: RotationState,
  now: Date,
): boolean =>
  trusted.every((root) => anchorId(root) === note.new || root.notAfter <= now) &&
  !otherLeavesLive(rollout, note.new, now);

/** A gate that opens once everything is as it should be, and has been for as long as pods may take to load it. */
function settled(
  count: (delayOf: DelayOf) => RolloutProgress,
  what: string,
  { authority, note, now }: { authority: AuthorityRecord; note: RotationState; now: Date },
): Gate {
  const { propagationDelay, clusterTrustBundleDelay } = authority.spec.rotation;
  const delayMs = parseDurationMs(propagationDelay);
  const floorMs = parseDurationMs(clusterTrustBundleDelay);
  // In a resource that is older than its schema.
  if (delayMs === undefined || floorMs === undefined) {
    const field = delayMs === undefined ? 'propagationDelay' : 'clusterTrustBundleDelay';
    const progress = count(() => Number.POSITIVE_INFINITY);
    return {
      waits: [...waitsFor(progress, what, authority, note), `spec.rotation.${field} to be a duration`],
      progress,
    };
  }
  const isFloor = ({ isClusterTrustBundle }: Counted) => isClusterTrustBundle === true && floorMs > delayMs;
  const progress = count((one) => (isFloor(one) ? floorMs : delayMs));
  const { missing, changedAgain, last } = progress;
  const waits = [...waitsFor(progress, what, authority, note), ...waitsForOthers(progress, what, authority, note)];
  if (last === undefined || missing.length > 0) return { waits, progress };
  const opensInMs = last.settlesInMs;
  if (changedAgain.length > 0) return { waits, progress, opensInMs };
  const until = timestamp(new Date(now.getTime() + opensInMs));
  const wait = isFloor(last.one)
    ? `every node to load the ClusterTrustBundle: until ${until} (clusterTrustBundleDelay ${clusterTrustBundleDelay})`
    : `pods to load what was written last: until ${until} (propagationDelay ${propagationDelay})`;
  return { waits: [wait], progress, opensInMs };
}

function waitsFor(
  { total, missing }: RolloutProgress,
  what: string,
  authority: AuthorityRecord,
  note: RotationState,
): string[] {
  const [first] = missing;
  if (first === undefined) return [];
  return [`${missing.length} of ${total} ${what}: ${namesOf(missing)} (${toSkip(first, authority, note)})`];
}

/** Names what another client keeps changing: its delay starts over each time. */
function waitsForOthers(
  { total, changedAgain }: RolloutProgress,
  what: string,
  authority: AuthorityRecord,
  note: RotationState,
): string[] {
  const [first] = changedAgain;
  if (first === undefined) return [];
  const names = namesOf(changedAgain, ({ changes = 0 }) => `changed ${changes} times`);
  const still = `${what} and to stay as they are: ${names}`;
  return [`${changedAgain.length} of ${total} ${still} (${toSkip(first, authority, note)})`];
}

function namesOf(objects: readonly Counted[], detail: (one: Counted) => string | undefined = ({ why }) => why): string {
  const named = spread(objects).map((one) => {
    const more = detail(one);
    return more === undefined ? one.what : `${one.what} (${more})`;
  });
  return `${named.join(', ')}${objects.length > namesInMessage ? ', …' : ''}`;
}

const namesInMessage = 3;

/** The first objects; of more than fit, those of other namespaces first: the many objects of one do not hide the others. */
function spread(objects: readonly Counted[]): readonly Counted[] {
  if (objects.length <= namesInMessage) return objects;
  const seen = new Set<string>();
  const firsts = objects.filter(({ namespace }) => !seen.has(namespace) && seen.add(namespace));
  return [...new Set([...firsts, ...objects])].slice(0, namesInMessage);
}

/** The narrowest skip: what else is waited for has a namespace of its own. */
function toSkip({ namespace }: Counted, authority: AuthorityRecord, note: RotationState): string {
  const scope = namespace === '' ? `the phase ${note.phase}` : `namespace ${namespace}`;
  return `to skip ${scope}: ${skipCommand(authority, note, namespace)}`;
}

const nounFor = ({ publications }: RolloutObservation): string =>
  publications.length === 0 ? 'Secrets' : 'Secrets and bundles';
