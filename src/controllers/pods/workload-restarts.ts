import { apiVersion } from '../../api/constants.ts';
import {
  type GuardedClient,
  isKubeError,
  type KubeError,
  type Log,
  type ObjectRef,
  replicaSets,
  type Served,
  type Workload,
} from '../../kube/index.ts';
import { type AuthorityRecord, controllerOf, type PodRecord, type RotationReport } from '../../plan/index.ts';
import type { Recorder } from '../objects/event-sink.ts';
import {
  isRolledOut,
  isWorkloadKind,
  restartedFor,
  restartObstacle,
  restartPatch,
  type WorkloadKind,
  workloadKinds,
} from '../objects/workload-object.ts';

export interface WorkloadRestartsOptions {
  readonly client: Pick<GuardedClient, 'find' | 'mergePatch'>;
  /** Whether the operator may restart workloads at all (--restart-workloads). */
  readonly isOn: boolean;
  readonly recorder: Recorder;
  readonly log: Log;
  readonly now: () => Date;
  /** A monotonic clock in milliseconds. */
  readonly monotonicMs: () => number;
}

/** A Deployment, StatefulSet or DaemonSet. */
interface WorkloadRef extends ObjectRef {
  readonly kind: WorkloadKind;
  readonly namespace: string;
}

/** What is known about the controller of pods, for messages. */
interface Outcome {
  readonly text: string;
  /** When to look again, on the monotonic clock. Absent: not in this phase. */
  readonly retryAtMs?: number;
}

/** The restarts for one phase of a rotation. */
interface Phase {
  readonly key: string;
  /** By UID of the controller of pods. */
  readonly outcomes: Map<string, Outcome>;
  /** How many rollouts of a namespace did not end in time. */
  readonly stuck: Map<string, number>;
  /** The UID of the controller whose restart may or may not have been written: it is read again before any other restart. */
  doubt?: string;
  /** The workload whose pods are being replaced. */
  current?: { readonly workload: WorkloadRef; readonly ownerUid: string; readonly sinceMs: number };
}

/** Kubernetes' own default (`progressDeadlineSeconds`): after that, the next workload need not wait for a rollout that is stuck. */
const longestRolloutMs = 600_000;
/** A refused or impossible restart is tried again after this time. */
const retryMs = 30_000;
/** How many controllers of pods are looked up in one reconcile. */
const mostLookups = 20;

/**
 * Restarts the workloads whose pods a rotation waits for: one after the other, and each at most once in a phase. A term of a
 * leader begins without memory; the annotation in the pod template then shows which workloads have restarted.
 */
export class WorkloadRestarts {
  readonly #options: WorkloadRestartsOptions;
  /** By name of authority. */
  readonly #phases = new Map<string, Phase>();

  constructor(options: WorkloadRestartsOptions) {
    this.#options = options;
  }

  /** By UID of a pod's controller: what was done to restart the pod, or why it is not restarted. */
  of(authority: string): ReadonlyMap<string, string> {
    const outcomes = this.#phases.get(authority)?.outcomes ?? [];
    return new Map([...outcomes].map(([uid, { text }]) => [uid, text]));
  }

  /** Forgets a deleted authority. */
  forget(authority: string): void {
    this.#phases.delete(authority);
  }

  /**
   * Restarts the next workload if the rotation needs that and no other rollout is in progress.
   * @throws KubeError
   */
  async advance(
    authority: AuthorityRecord,
    rotation: Pick<RotationReport, 'restart'> | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (rotation === undefined) this.forget(authority.name);
    if (rotation?.restart === undefined) return;
    const { key, pods } = rotation.restart;
    const phase = this.#phaseOf(authority, key);
    if (await this.#isRollingOut(phase, signal)) return;
    const controllers = controllersOf(pods, phase);
    forgetAbsent(phase, controllers);
    const due = controllers.filter(({ ownerUid }) => this.#isDue(phase, ownerUid));
    for (const pod of due.slice(0, mostLookups)) if (await this.#restart(authority, phase, pod, signal)) return;
  }

  #phaseOf({ name }: AuthorityRecord, key: string): Phase {
    const known = this.#phases.get(name);
    if (known?.key === key) return known;
    const phase: Phase = { key, outcomes: new Map(), stuck: new Map() };
    this.#phases.set(name, phase);
    return phase;
  }

  #isDue({ outcomes }: Phase, ownerUid: string): boolean {
    const known = outcomes.get(ownerUid);
    return known === undefined || (known.retryAtMs ?? Number.POSITIVE_INFINITY) <= this.#options.monotonicMs();
  }

  /** True while the next workload has to wait for the rollout of the last one. */
  async #isRollingOut(phase: Phase, signal: AbortSignal): Promise<boolean> {
    const { current, outcomes } = phase;
    if (current === undefined) return false;
    const { workload, ownerUid, sinceMs } = current;
    const isDone = await this.#isRolledOut(workload, signal);
    if (!isDone && this.#options.monotonicMs() - sinceMs < longestRolloutMs) return true;
    delete phase.current;
    if (!isDone) phase.stuck.set(workload.namespace, (phase.stuck.get(workload.namespace) ?? 0) + 1);
    const what = isDone ? 'has restarted' : 'was restarted 10 minutes ago, and its new pods are not all available';
    outcomes.set(ownerUid, { text: `${inWords(workload)} ${what}` });
    return false;
  }

  /** False, too, when the API server does not tell: then the next workload waits as for a rollout that is stuck. */
  async #isRolledOut(workload: WorkloadRef, signal: AbortSignal): Promise<boolean> {
    try {
      const live = await this.#options.client.find(workloadKinds[workload.kind], workload, { signal });
      return live === undefined || isRolledOut(workload.kind, live);
    } catch (error) {
      if (!isAboutOneObject(error)) throw error;
      return false;
    }
  }

  /** Restarts the workload of a pod. Returns true if the next workload has to wait. */
  async #restart(
    authority: AuthorityRecord,
    phase: Phase,
    { ownerUid, pod }: Controlled,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { client, isOn, now, monotonicMs } = this.#options;
    const outcome = (text: string, retryAtMs?: number) => {
      phase.outcomes.set(ownerUid, { text, ...(retryAtMs === undefined ? {} : { retryAtMs }) });
      return false;
    };
    const later = () => monotonicMs() + retryMs;
    if (!isOn)
      return outcome('to restart it, the operator needs --restart-workloads (chart: podEvidence.restartWorkloads)');
    try {
      const found = await this.#workloadOf(pod, signal);
      if (found === undefined) return outcome('no Deployment, StatefulSet or DaemonSet owns it');
      const { ref, live } = found;
      const name = inWords(ref);
      if (restartedFor(live) === phase.key) {
        if (isRolledOut(ref.kind, live)) return outcome(`${name} has restarted`);
      } else {
        const obstacle = restartObstacle(live);
        if (obstacle !== undefined) return outcome(`${name} ${obstacle}`, later());
        const patch = restartPatch(live, phase.key, now());
        await client.mergePatch(workloadKinds[ref.kind], ref, patch, { signal, metadataOnly: true });
        this.#report(authority, ref, live, phase.key);
      }
      outcome(`${name} is being restarted`);
      phase.current = { workload: ref, ownerUid, sinceMs: monotonicMs() };
      return true;
    } catch (error) {
      // Another client, usually the workload's controller, has changed the workload: it is read again in the next reconcile.
      if (isKubeError(error, 'Conflict', 'NotFound')) return outcome('its workload has just changed', monotonicMs());
      if (!isAboutOneObject(error)) throw error;
      if (error.outcomeUnknown && phase.doubt !== ownerUid) {
        phase.doubt = ownerUid;
        outcome('the answer to its restart was lost', monotonicMs());
        return true;
      }
      delete phase.doubt;
      return outcome(`the API server refuses to restart it: ${error.message.slice(0, longestRefusal)}`, later());
    }
  }

  /** The workload that created a pod. The owner reference counts only if an object with this UID exists. */
  async #workloadOf(
    { namespace, owner }: PodRecord,
    signal: AbortSignal,
  ): Promise<{ readonly ref: WorkloadRef; readonly live: Served<Workload> } | undefined> {
    const { client } = this.#options;
    if (owner === undefined || !owner.apiVersion.startsWith('apps/')) return undefined;
    if (owner.kind !== 'ReplicaSet') return this.#live(namespace, owner, signal);
    const ref = { namespace, name: owner.name };
    const replicaSet = await client.find(replicaSets, ref, { signal, metadataOnly: true });
    if (replicaSet?.metadata.uid !== owner.uid) return undefined;
    const above = controllerOf(replicaSet.metadata.ownerReferences);
    return above?.apiVersion.startsWith('apps/') === true ? this.#live(namespace, above, signal) : undefined;
  }

  async #live(
    namespace: string,
    { kind, name, uid }: NonNullable<PodRecord['owner']>,
    signal: AbortSignal,
  ): Promise<{ readonly ref: WorkloadRef; readonly live: Served<Workload> } | undefined> {
    if (!isWorkloadKind(kind)) return undefined;
    const ref = { kind, namespace, name };
    const live = await this.#options.client.find(workloadKinds[kind], ref, { signal });
    return live?.metadata.uid === uid ? { ref, live } : undefined;
  }

  #report(authority: AuthorityRecord, ref: WorkloadRef, { metadata: { uid } }: Served<Workload>, key: string): void {
    const { recorder, log } = this.#options;
    const { kind, namespace, name } = ref;
    const note = `restarted ${inWords(ref)} for ${key}: its pods do not load the changed roots or certificates otherwise`;
    for (const regarding of [
      { apiVersion: 'apps/v1', kind, namespace, name, uid },
      { apiVersion, kind: 'MtlsAuthority', name: authority.name, uid: authority.uid },
    ]) {
      recorder.record({ regarding, type: 'Normal', reason: 'WorkloadRestarted', action: 'Restart', note });
    }
    log.info('restarted a workload', { authority: authority.name, kind, namespace, name, rotation: key });
  }
}

/**
 * True for an error that may concern one object only, for instance because it is too large or a webhook of its namespace fails. It
 * must not hold up the workloads of others.
 */
const isAboutOneObject = (error: unknown): error is KubeError =>
  isKubeError(error, 'Forbidden', 'Invalid', 'BadRequest', 'ServerError', 'Timeout', 'Malformed');

/** A message of the API server can be long, and a condition shows several of them. */
const longestRefusal = 200;

interface Controlled {
  readonly ownerUid: string;
  readonly pod: PodRecord;
}

/**
 * One pod of each controller, by name. A namespace whose rollouts do not end comes last: a tenant with many broken workloads
 * then delays the others once. A controller that was tried comes after those that were not: otherwise a tenant with many workloads
 * that cannot be restarted would use up all lookups.
 */
function controllersOf(pods: readonly PodRecord[], { stuck, outcomes, doubt }: Phase): Controlled[] {
  const byOwner = new Map<string, PodRecord>();
  const stuckIn = ({ namespace }: PodRecord): number => stuck.get(namespace) ?? 0;
  const tried = ({ owner }: PodRecord): number =>
    owner === undefined || !outcomes.has(owner.uid) ? 0 : owner.uid === doubt ? -1 : 1;
  const sorted = pods.toSorted(
    (a, b) =>
      tried(a) - tried(b) || stuckIn(a) - stuckIn(b) || compare(a.namespace, b.namespace) || compare(a.name, b.name),
  );
  for (const pod of sorted) if (pod.owner !== undefined && !byOwner.has(pod.owner.uid)) byOwner.set(pod.owner.uid, pod);
  return [...byOwner].map(([ownerUid, pod]) => ({ ownerUid, pod }));
}

/**
 * Forgets controllers whose pods are gone, because pods can name as many as they like. If pods of a workload come back, its
 * annotation shows that it has restarted.
 */
function forgetAbsent({ outcomes }: Phase, controllers: readonly Controlled[]): void {
  if (outcomes.size < mostAbsent + controllers.length) return;
  const present = new Set(controllers.map(({ ownerUid }) => ownerUid));
  for (const uid of outcomes.keys()) if (!present.has(uid)) outcomes.delete(uid);
}
/** Most phases restart fewer workloads, and then nothing is forgotten. */
const mostAbsent = 1000;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const inWords = ({ kind, namespace, name }: WorkloadRef): string => `${kind} ${namespace}/${name}`;
