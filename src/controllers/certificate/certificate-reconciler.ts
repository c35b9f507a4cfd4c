import { type GuardedClient, refOf, type Store } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  type CertificatePlan,
  type CertificateRecord,
  isAwaitingCaches,
  type ObservedCertificate,
  planCertificate,
  planCertificateStatus,
  type RoleOutcome,
  rootsInStatus,
} from '../../plan/index.ts';
import type { Recorder } from '../objects/event-sink.ts';
import { certificateRecord, certificates as certificateResource } from '../objects/resources.ts';
import { writeStatus } from '../objects/status-writer.ts';
import { adoptionEvent, type IssuedRole, issueEvents, problemEvents } from './certificate-events.ts';
import type { CertificateMemory } from './certificate-memory.ts';
import type { CertificateObservation, CertificateObserver } from './certificate-observer.ts';
import type { RsaKeyPool } from './rsa-key-pool.ts';
import type { SecretDeleter } from './secret-deleter.ts';
import { dependsOnNewerRequest, isSameRequest } from './stale-request.ts';
import type { StepResult } from './step-result.ts';
import type { StepRunner } from './step-runner.ts';

/** The dependencies of the reconciler. reconcilers.ts creates them. */
export interface CertificateContext {
  readonly client: GuardedClient;
  readonly certificates: Pick<Store<CertificateRecord>, 'get' | 'observe' | 'observeOwnWrite' | 'trackWrite'>;
  readonly authorities: Pick<Store<AuthorityRecord>, 'get'>;
  readonly observer: CertificateObserver;
  readonly runner: StepRunner;
  readonly deleter: Pick<SecretDeleter, 'prune' | 'mark'>;
  readonly memory: CertificateMemory;
  readonly keys: RsaKeyPool;
  /** Called with the key of a resource that is retried before its backoff ends. */
  readonly onRetry: (key: string) => void;
  readonly recorder: Recorder;
  readonly now: () => Date;
}

type Requeue = { readonly requeueAt: Date } | undefined;

/** Status reports a key that is being generated only after this time: most keys are ready before. */
const pendingGraceMs = 1000;

/** Brings the Secrets of MtlsCertificates to what their specs request: observe → plan → carry out → status. */
export class CertificateReconciler {
  readonly #context: CertificateContext;

  constructor(context: CertificateContext) {
    this.#context = context;
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<Requeue> {
    const { certificates, observer, now } = this.#context;
    const certificate = certificates.get(key);
    if (certificate === undefined) return this.#forget(key);
    const observation = await observer.observe(key, certificate, signal);
    const { observed } = observation;
    if (isAwaitingCaches(observed)) return undefined;
    const plannedAt = now();
    const plan = planCertificate(observed, plannedAt);
    if (!(await this.#isCurrent(certificate, plan, signal))) return undefined;
    const results = await this.#carryOut(key, observation, plan, signal);
    const reportAt = pendingReportTime(results);
    // A time that is further away was computed before the clock was set back.
    const reportInMs = reportAt === undefined ? 0 : reportAt.getTime() - now().getTime();
    if (reportAt !== undefined && reportInMs > 0 && reportInMs <= pendingGraceMs) return { requeueAt: reportAt };
    await this.#tidyUp(certificate, plan, results, signal);
    const outcomes = this.#outcomesOf(key, observed, results);
    return this.#writeStatus(key, observed, outcomes, plannedAt, signal);
  }

  #forget(key: string): undefined {
    const { memory, keys } = this.#context;
    memory.forget(key, refOf(key).namespace ?? '');
    keys.drop(key);
  }

  /**
   * False when a step may answer an old version of the resource and the live version requests something else. The live version
   * then goes into the cache, which queues the key again.
   */
  async #isCurrent(cached: CertificateRecord, plan: CertificatePlan, signal: AbortSignal): Promise<boolean> {
    const { client, certificates } = this.#context;
    if (!plan.secrets.some(({ step }) => dependsOnNewerRequest(step, cached))) return true;
    const ref = { namespace: cached.namespace, name: cached.name };
    const found = await client.find(certificateResource, ref, { signal });
    if (found === undefined) return false;
    const live = certificateRecord(found);
    if (isSameRequest(live, cached)) return true;
    certificates.observe(live);
    return false;
  }

  /**
   * Carries out the steps of all roles. Returns all results, or throws the first error after every step has ended: the next
   * reconcile of the key must not overlap with this one. Writes are remembered and reported even if another role or the write of
   * status fails.
   */
  async #carryOut(
    key: string,
    observation: CertificateObservation,
    plan: CertificatePlan,
    signal: AbortSignal,
  ): Promise<StepResult[]> {
    const { runner, memory, now } = this.#context;
    const running = plan.secrets.map(({ role, step }) => runner.run(observation, role, step, signal));
    const ended = await Promise.allSettled(running);
    const results = ended.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    memory.noteWritten(key, observation.observed, results, now());
    this.#reportWritten(observation.observed.certificate, results);
    return Promise.all(running);
  }

  #reportWritten(certificate: CertificateRecord, results: readonly StepResult[]): void {
    const { recorder } = this.#context;
    const issued: IssuedRole[] = results.flatMap(({ outcome: { role }, issued: one }) =>
      one === undefined ? [] : [{ role, ...one }],
    );
    const adopted = results.flatMap((one) => (one.adopted === true ? one.outcome.role.secretName : []));
    for (const secretName of adopted) recorder.record(adoptionEvent(certificate, secretName));
    for (const event of issueEvents(certificate, issued)) recorder.record(event);
  }

  /** Deletes the Secrets that no role uses any more, if every role succeeded. Otherwise only annotates them. */
  async #tidyUp(
    certificate: CertificateRecord,
    plan: CertificatePlan,
    results: readonly StepResult[],
    signal: AbortSignal,
  ): Promise<void> {
    const { deleter } = this.#context;
    const isComplete = results.every(({ outcome }) => outcome.problem === undefined);
    await (isComplete ? deleter.prune(certificate, plan.prune, signal) : deleter.mark(plan.annotate, signal));
  }

  /**
   * The outcomes of the steps, with the failures and repairs of each role. A successful write also wakes resources whose write
   * was refused.
   */
  #outcomesOf(key: string, observed: ObservedCertificate, results: readonly StepResult[]): readonly RoleOutcome[] {
    const { memory, onRetry, now } = this.#context;
    const failures = memory.noteFailures(key, observed, results, now());
    if (results.some(({ isWritten }) => isWritten === true)) {
      for (const other of memory.wake(observed.certificate.namespace, now())) onRetry(other);
    }
    return memory.outcomesOf(key, results, failures);
  }

  async #writeStatus(
    key: string,
    { certificate, authority }: ObservedCertificate,
    outcomes: readonly RoleOutcome[],
    plannedAt: Date,
    signal: AbortSignal,
  ): Promise<Requeue> {
    const { client, authorities, certificates, memory, recorder, now } = this.#context;
    // While the root is invalid, the roots that were trusted before stay trusted.
    const record = authorities.get(certificate.spec.authorityRef.name);
    const remembered = record === undefined ? [] : rootsInStatus(record.status);
    const roots = authority.state === 'ready' ? authority.bundle.roots : remembered;
    // Use the time of the plan. If a deadline has passed since then, requeueAt is in the past and the key is queued at once.
    const { status, requeueAt } = planCertificateStatus(certificate, outcomes, plannedAt, roots, authority);
    const writer = { client, resource: certificateResource, store: certificates };
    if (!(await writeStatus(writer, certificate, status, now(), signal))) return undefined;
    memory.noteRecorded(key, status.secrets ?? []);
    for (const event of problemEvents(certificate, status.conditions, authority)) recorder.record(event);
    return requeueAt === undefined ? undefined : { requeueAt };
  }
}

/** When status has to report that a key is being generated; undefined when none is. */
function pendingReportTime(results: readonly StepResult[]): Date | undefined {
  const since = results.flatMap((one) => one.pendingSince ?? [])[0];
  return since && new Date(since.getTime() + pendingGraceMs);
}
