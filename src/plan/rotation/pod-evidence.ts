import type { AuthorityRecord } from '../records/authority-record.ts';
import {
  anyAuthority,
  anyObject,
  bundlesOf,
  type FrozenContent,
  type PodRecord,
  podCertificatesOf,
  type RotatedPart,
} from '../records/pod-record.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { isLive } from './live-leaves.ts';
import type { ObservedPods } from './observed-pods.ts';
import type { IssuedSecret, RolloutObservation } from './rollout-observation.ts';
import type { DelayOf, RolloutObject } from './rollout-progress.ts';
import type { RotationState } from './rotation-state.ts';

/** A pod that a rotation waits for, as messages name it. */
export interface AwaitedPod extends RolloutObject {
  readonly pod: PodRecord;
  /** It never loads what it needs: it has to restart. */
  readonly isFrozen: boolean;
}

interface Input {
  readonly authority: AuthorityRecord;
  readonly rollout: RolloutObservation;
}

/**
 * Identifies a phase of a rotation in the annotation of the pod templates that the operator restarts for it. A phase of an
 * abort is another phase than the one with the same name before the abort.
 */
export const restartKey = (
  { name }: Pick<AuthorityRecord, 'name'>,
  { id, phase, aborting }: Pick<RotationState, 'id' | 'phase' | 'aborting'>,
): string => `${name}/${id}/${phase}${aborting ? '/aborting' : ''}`;

/**
 * Counts the pods that read an object of the rotation only when a container starts, and returns those that have not
 * restarted since the write that they need. Every object has its new content when this is called.
 * @param part what the phase has changed
 * @param delayOf how long nodes may take to load a change. A container that starts earlier may still read the old content.
 */
export function countFrozenPods(
  { authority, rollout }: Input,
  rotation: RotationState,
  part: RotatedPart,
  delayOf: DelayOf,
  now: Date,
): { readonly total: number; readonly stale: readonly AwaitedPod[] } {
  const { pods } = rollout;
  if (pods === undefined) return { total: 0, stale: [] };
  const deadlines = deadlinesOf({ authority, rollout }, part, delayOf, now);
  const key = restartKey(authority, rotation);
  const stale: AwaitedPod[] = [];
  let total = 0;
  for (const pod of pods.all()) {
    const read = pod.frozen.filter(({ parts }) => parts.includes(part));
    const needed = read.flatMap((one) => {
      const deadlineMs = deadlines(one, pod.namespace);
      return deadlineMs === undefined ? [] : { one, deadlineMs };
    });
    if (needed.length === 0) continue;
    total += 1;
    // A user can set this annotation on a pod of theirs. Then the rotation does not wait for that pod, and for no other.
    if (pod.restartedFor === key) continue;
    const late = needed.find(({ deadlineMs }) => pod.startedAtMs < deadlineMs);
    if (late !== undefined) stale.push(awaited(pod, readingOf(late.one), pods));
  }
  return { total, stale };
}

/** Returns the moment after which a container that starts reads the new content of an object; undefined for other objects. */
function deadlinesOf(
  { authority, rollout: { secrets, publications } }: Input,
  part: RotatedPart,
  delayOf: DelayOf,
  now: Date,
): (content: FrozenContent, namespace: string) => number | undefined {
  const byObject = new Map<string, number>();
  const byNamespace = new Map<string, number>();
  const add = (map: Map<string, number>, name: string, deadlineMs: number) =>
    map.set(name, Math.max(deadlineMs, map.get(name) ?? Number.NEGATIVE_INFINITY));
  const live = secrets.filter((secret) => isLive(secret, now));
  for (const one of part === 'roots' ? [...live, ...publications] : live) {
    const deadlineMs = deadlineOf(one, delayOf(one));
    add(byObject, one.displayName, deadlineMs);
    add(byNamespace, one.namespace, deadlineMs);
    if ('isClusterTrustBundle' in one) add(byObject, bundlesOf(authority.name), deadlineMs);
  }
  return ({ object }, namespace) => {
    if (object !== anyObject) return byObject.get(object);
    const known = [namespace, ''].flatMap((name) => byNamespace.get(name) ?? []);
    return known.length === 0 ? undefined : Math.max(...known);
  };
}

/**
 * A reader of an object that has had only one content has read it. The API server knows the time of a write to the second, so
 * there may have been other content in the second in which the object was created. An object that was deleted and created again may
 * have had other content before, which a node may still have: this process has to know that it is the first one (changedAtMs).
 */
function deadlineOf({ written, changedAtMs }: Pick<IssuedSecret, 'written' | 'changedAtMs'>, delayMs: number): number {
  if (written === undefined) return Number.POSITIVE_INFINITY;
  const isFirst = written.isFirst && changedAtMs === Number.NEGATIVE_INFINITY;
  return written.atMs + (isFirst ? Math.min(delayMs, 1000) : delayMs);
}

/**
 * The pods that may present a podCertificate issued by a root that the rotation replaces. Undefined when the operator does
 * not know all pods: then only the expiry of the last such certificate ends the phase Draining.
 *
 * A pod is released when it was created in this phase: all certificates since the switch are of the incoming root. The start
 * of a container shows nothing, because kubelet requests the certificate before it pulls the image, and keeps it while the
 * pod exists. A pod with one podCertificate is also released when this process has issued it a certificate of the incoming
 * root and kubelet and program have had time to load it.
 */
export function podLeafHolders({ authority, rollout }: Input, rotation: RotationState): AwaitedPod[] | undefined {
  const { pods, monotonicMs } = rollout;
  if (pods === undefined || pods.unknown.length > 0) return undefined;
  const key = restartKey(authority, rotation);
  const createdAfterMs = Date.parse(rotation.since) + clockToleranceMs;
  const delayMs = parseDurationMs(authority.spec.rotation.propagationDelay) ?? Number.POSITIVE_INFINITY;
  const hasLoaded = ({ uid }: PodRecord): boolean => {
    const issued = pods.issuances.get(uid);
    return issued !== undefined && issued.root === rotation.new && monotonicMs - issued.atMs >= delayMs;
  };
  const holders: AwaitedPod[] = [];
  for (const pod of pods.all()) {
    const isUnread = pod.signers.includes(anyAuthority);
    const sources = isUnread ? Infinity : pod.signers.filter((name) => name === authority.name).length;
    if (sources === 0 || pod.restartedFor === key || pod.createdAtMs >= createdAfterMs) continue;
    const frozen = frozenPodCertificate(pod, authority);
    if (sources === 1 && frozen === undefined && hasLoaded(pod)) continue;
    holders.push(awaited(pod, frozen === undefined ? undefined : readingOf(frozen), pods));
  }
  return holders;
}

/**
 * The clocks of the API servers of a cluster may differ. `since` is the later one of the time of the operator and the time of the
 * API server that answered last. The API server that created a pod may be another one, with a clock ahead of both.
 */
const clockToleranceMs = 180_000;

/** How a pod reads its podCertificate if it never reads a refreshed one. */
export const frozenPodCertificate = ({ frozen }: PodRecord, { name }: Pick<AuthorityRecord, 'name'>) =>
  frozen.find(
    ({ object, parts }) =>
      parts.includes('certificate') && (object === podCertificatesOf(name) || object === anyObject),
  );

function awaited(pod: PodRecord, reading: string | undefined, { restarts }: ObservedPods): AwaitedPod {
  const { namespace, name, owner } = pod;
  const restart = owner === undefined ? undefined : restarts.get(owner.uid);
  const details = [reading, reading === undefined ? undefined : (restart ?? withoutOwner(pod))].filter(
    (one) => one !== undefined,
  );
  return {
    pod,
    isFrozen: reading !== undefined,
    namespace,
    displayName: `${namespace}/${name}`,
    changedAtMs: Number.NEGATIVE_INFINITY,
    ...(details.length === 0 ? {} : { detail: details.join('; ') }),
  };
}

const withoutOwner = ({ owner }: PodRecord): string | undefined =>
  owner === undefined ? 'no controller creates it again' : undefined;

function readingOf({ object, by }: FrozenContent): string {
  if (by === 'copy') return `reads a copy of ${object} that an init container made`;
  return `reads ${object} ${by === 'subPath' ? 'by subPath' : 'in an environment variable'}`;
}
