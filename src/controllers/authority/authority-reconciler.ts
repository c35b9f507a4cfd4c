import type { MtlsAuthorityStatus } from '../../api/types.ts';
import { type GuardedClient, KubeError, type Store } from '../../kube/index.ts';
import {
  type AuthorityPlan,
  type AuthorityRecord,
  type DesiredCondition,
  type PodRequestsAccess,
  planAuthority,
  planAuthorityStatus,
  podCertificatesCondition,
  podRootsStatus,
  type RotationReport,
} from '../../plan/index.ts';
import type { AuthorityChange, AuthorityStates } from '../cache/authority-states.ts';
import type { Recorder } from '../objects/event-sink.ts';
import { authorities as authorityResource } from '../objects/resources.ts';
import { writeStatus } from '../objects/status-writer.ts';
import { problemEvents, remarkEvents } from './authority-events.ts';
import type { AuthorityObservation, AuthorityObserver } from './authority-observer.ts';
import type { PodLeafRequests } from './pod-leaf-requests.ts';
import type { RootSecretWriter } from './root-secret-writer.ts';

/** The dependencies of the reconciler. reconcilers.ts creates them. */
export interface AuthorityContext {
  readonly client: GuardedClient;
  readonly authorities: Pick<Store<AuthorityRecord>, 'get' | 'observeOwnWrite' | 'trackWrite'>;
  readonly authorityStates: AuthorityStates;
  readonly observer: AuthorityObserver;
  readonly writer: RootSecretWriter;
  /** The certificates for pods that wait for a record in the root Secret. */
  readonly podLeafRequests: Pick<PodLeafRequests, 'answered' | 'forget'>;
  /** Called when the certificates and the published bundles of an authority have to be reconciled. */
  readonly onChange: (authority: string, change: AuthorityChange) => void;
  /** The conditions about the published bundles of an authority. */
  readonly trustConditions: (authority: AuthorityRecord) => readonly DesiredCondition[];
  /** What status reports about the certificates of pods. Undefined for an authority that never was a signer for pods. */
  readonly podReport: (
    authority: AuthorityRecord,
  ) => Pick<NonNullable<MtlsAuthorityStatus['podCertificates']>, 'issued' | 'pending'> | undefined;
  readonly podRequestsAccess: () => PodRequestsAccess;
  /** The pods that rotations wait for. */
  readonly podActions: {
    advance(authority: AuthorityRecord, rotation: RotationReport | undefined, signal: AbortSignal): Promise<void>;
    forget(authority: string): void;
  };
  readonly recorder: Recorder;
  readonly now: () => Date;
}

/** No plan needs more steps in a row than this. If more follow, the queue retries with backoff. */
const maxSteps = 6;

/** An observation with the plan that was made from it. */
interface Settled extends AuthorityObservation {
  readonly plan: AuthorityPlan;
  readonly plannedAt: Date;
}

/** Creates, validates and rotates the roots of MtlsAuthorities: observe → plan → carry out → status. */
export class AuthorityReconciler {
  readonly #context: AuthorityContext;
  readonly #rotations = new Map<string, RotationReport>();

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  /** The rotations in progress by name of authority, for metrics. */
  get rotations(): ReadonlyMap<string, RotationReport> {
    return this.#rotations;
  }

  async reconcile(name: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const authority = this.#context.authorities.get(name);
    if (authority === undefined) return this.#forget(name);
    const settled = await this.#settle(authority, signal);
    this.#publish(authority, settled);
    const next = await this.#writeStatus(settled, signal);
    await this.#context.podActions.advance(authority, settled.plan.rotation, signal);
    return next;
  }

  #forget(name: string): undefined {
    const { authorityStates, observer, podLeafRequests, podActions, onChange } = this.#context;
    podActions.forget(name);
    this.#rotations.delete(name);
    observer.forget(name);
    podLeafRequests.forget(name);
    authorityStates.delete(name);
    onChange(name, 'whole');
  }

  /** Observes, plans and carries out step by step until no step is left. */
  async #settle(authority: AuthorityRecord, signal: AbortSignal): Promise<Settled> {
    const { observer, writer } = this.#context;
    for (let steps = 0; ; steps += 1) {
      const settled = await this.#plan(authority, signal);
      const { observed, plan } = settled;
      if (plan.step.step === 'keep') {
        if (plan.verdict.state === 'ready') observer.remember(observed);
        return settled;
      }
      if (steps === maxSteps) throw new KubeError('Conflict', 'another client keeps changing the root Secret');
      await writer.carryOut(settled, plan.step, signal);
    }
  }

  /** Observes and plans. A step that requires a live read is planned again after the objects are read from the API server. */
  async #plan(authority: AuthorityRecord, signal: AbortSignal): Promise<Settled> {
    const { observer, now } = this.#context;
    const planned = async (): Promise<Settled> => {
      const observation = await observer.observe(authority, signal);
      const plannedAt = now();
      return { ...observation, plan: planAuthority(observation.observed, plannedAt), plannedAt };
    };
    const settled = await planned();
    const { step } = settled.plan;
    if (step.step !== 'rotate' || step.requiresLiveRead !== true) return settled;
    await observer.confirm(authority, signal);
    return planned();
  }

  /** Makes the verdict available to certificates, and the rotation to metrics. */
  #publish(authority: AuthorityRecord, { observed, plan: { verdict, rotation } }: Settled): void {
    const { authorityStates, podLeafRequests, onChange } = this.#context;
    if (rotation === undefined) this.#rotations.delete(authority.name);
    else this.#rotations.set(authority.name, rotation);
    podLeafRequests.answered(authority.name, observed.requestedPodLeaves);
    for (const change of authorityStates.set(authority, verdict)) onChange(authority.name, change);
  }

  async #writeStatus(
    { observed, plan, plannedAt }: Settled,
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { client, authorities, trustConditions, podReport, podRequestsAccess, recorder, now } = this.#context;
    const { authority } = observed;
    // Use the time of the plan. If a deadline has passed since then, requeueAt is in the past and the key is queued at once.
    const { status: planned, requeueAt } = planAuthorityStatus(observed, plan, plannedAt);
    const podRoots = podRootsStatus(authority, plan);
    const report = podReport(authority) ?? (podRoots.length === 0 ? undefined : { issued: 0 });
    const status = {
      ...planned,
      ...(report === undefined
        ? {}
        : { podCertificates: { ...report, ...(podRoots.length === 0 ? {} : { roots: podRoots }) } }),
      conditions: [
        ...planned.conditions,
        ...trustConditions(authority),
        ...podCertificatesCondition(authority, podRequestsAccess(), plan.verdict),
      ],
    };
    const writer = { client, resource: authorityResource, store: authorities };
    if (!(await writeStatus(writer, authority, status, now(), signal))) return undefined;
    for (const event of remarkEvents(authority, plan.rotation)) recorder.record(event);
    for (const event of problemEvents(authority, status.conditions, plan.verdict)) recorder.record(event);
    return requeueAt === undefined ? undefined : { requeueAt };
  }
}
