import { managerName } from '../api/constants.ts';
import type { AuthorityManifest } from '../api/manifest.ts';
import {
  Controller,
  EventRecorder,
  type KubeClient,
  type Log,
  type ReconcileRecord,
  WorkQueue,
  type WorkQueueObserver,
} from '../kube/index.ts';
import type { RotationReport } from '../plan/index.ts';
import { InitialAuthorities } from './authority/initial-authorities.ts';
import { MetricsCertificate, type MetricsService } from './certificate/metrics-certificate.ts';
import type { Queues } from './event-handlers.ts';
import { nodeOfKey } from './objects/pod-objects.ts';
import type { PendingPodRequests } from './pods/pending-pod-requests.ts';
import type { PodCertificateMetrics } from './pods/pod-certificate-reconciler.ts';
import { beginTerm, type Reconcilers } from './reconcilers.ts';
import type { Replica } from './replica.ts';

export interface LeaderTermOptions {
  readonly client: KubeClient;
  readonly replica: Replica;
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  /** Name of this replica, which events carry as `reportingInstance`. */
  readonly identity: string;
  /** How many certificates are reconciled at the same time. */
  readonly workers: number;
  /** How many RSA keys are generated at the same time. */
  readonly rsaKeyWorkers: number;
  /** See ReconcilersOptions. */
  readonly restartWorkloads?: boolean | undefined;
  /** The authorities that the leader creates when its term begins, if they do not exist. */
  readonly initialAuthorities: readonly AuthorityManifest[];
  /** Without `initialAuthorities`: create the MtlsAuthority `default` in a cluster that has no authority. */
  readonly createDefaultAuthority: boolean;
  /** Create the MtlsCertificate of the metrics server. */
  readonly metricsService?: MetricsService | undefined;
  readonly log: Log;
  readonly now: () => Date;
  readonly observer: LeaderObserver;
}

/** Receives what a term reports for metrics. */
export interface LeaderObserver extends PodCertificateMetrics {
  onReconcile(controller: string, record: ReconcileRecord): void;
  onIssued(role: string, reason: string): void;
  /** Returns the observer of a controller's queue. */
  queueObserver?(controller: string): WorkQueueObserver;
}

/** A controller and its queue at one time, for metrics. */
export interface ControllerState {
  readonly name: string;
  /** The number of waiting keys. */
  readonly queued: number;
  readonly unfinishedSeconds: number;
  readonly longestRunningSeconds: number;
  readonly activeWorkers: number;
  readonly maxWorkers: number;
}

/** The names of the controllers. */
export const controllerNames = [
  'authority',
  'certificate',
  'trust',
  'pods',
] as const satisfies readonly (keyof Queues)[];

/** One namespace gets at most 1/4 of the workers: the others stay free while it floods the API server with writes. */
const namespaceShare = 4;
/** Clusters have few authorities, and the reconcile of an authority sends a handful of requests. */
const authorityWorkers = 2;
/** A bundle is one small write: four workers publish to 10,000 namespaces in about 10 seconds. */
const trustWorkers = 4;

/**
 * One term of a leader: its queues, event handlers, reconcilers and controllers. The operator builds them when the term begins
 * and drops them when it ends. A term runs once.
 */
export class LeaderTerm {
  readonly #options: LeaderTermOptions;
  readonly #queues: Queues;
  readonly #recorder: EventRecorder;
  readonly #controllers = new Map<keyof Queues, Controller>();
  #reconcilers: Reconcilers | undefined;

  constructor(options: LeaderTermOptions) {
    this.#options = options;
    const { client, identity, workers, log, observer } = options;
    const queue = (name: keyof Queues, maxPerFlow?: number, subflowOf?: (key: string) => string) =>
      new WorkQueue({ maxPerFlow, subflowOf, observer: observer.queueObserver?.(name) });
    const share = Math.ceil(workers / namespaceShare);
    this.#queues = {
      authority: queue('authority'),
      certificate: queue('certificate', share),
      trust: queue('trust'),
      pods: queue('pods', share, nodeOfKey),
    };
    this.#recorder = new EventRecorder({
      client,
      reportingController: managerName,
      reportingInstance: identity,
      isBusy: () => this.#queues.certificate.length > 0 || this.#queues.pods.length > 0,
      log,
    });
  }

  /** The controllers and their queues. */
  get controllers(): readonly ControllerState[] {
    return controllerNames.map((name) => {
      const queue = this.#queues[name];
      const { totalSeconds, longestSeconds } = queue.inProgress;
      return {
        name,
        queued: queue.length,
        unfinishedSeconds: totalSeconds,
        longestRunningSeconds: longestSeconds,
        activeWorkers: this.#controllers.get(name)?.activeWorkers ?? 0,
        maxWorkers: this.#workers[name],
      };
    });
  }

  get #workers(): Readonly<Record<keyof Queues, number>> {
    const { workers } = this.#options;
    return { authority: authorityWorkers, certificate: workers, trust: trustWorkers, pods: workers };
  }

  /** The rotations in progress by name of authority. */
  get rotations(): ReadonlyMap<string, RotationReport> {
    return this.#reconcilers?.authority.rotations ?? new Map();
  }

  /** Why requests of pods wait, by name of authority. */
  get pendingPodRequests(): ReturnType<PendingPodRequests['groups']> {
    return this.#reconcilers?.pendingPods.groups() ?? new Map();
  }

  /** Runs until `leadership` aborts. Resolves when the reconciles in progress have ended. `lost` aborts those reconciles. */
  async run(leadership: AbortSignal, lost: AbortSignal): Promise<void> {
    const recorder = this.#recorder;
    const queues = this.#queues;
    const reconcilers = await beginTerm({ ...this.#options, recorder, queues }, leadership);
    this.#reconcilers = reconcilers;
    try {
      const initial = this.#initialAuthorities();
      // Create them before the controllers start. Otherwise certificates that refer to them report that they are missing.
      const isDone = await initial.create(leadership);
      await Promise.all([
        isDone ? undefined : initial.createLater(leadership),
        this.#metricsCertificate()?.keep(leadership),
        ...controllerNames.map((name) => this.#controller(name, reconcilers).run(leadership, lost)),
      ]);
    } finally {
      reconcilers.stop();
      // A timer for a renewal in three months would otherwise keep the process alive.
      for (const queue of Object.values(queues)) queue.shutDown();
    }
  }

  /** Sends the last events. Do not await it before the Lease is released: the next leader would wait for them. */
  flush = (timeoutMs: number): Promise<void> => this.#recorder.flush(timeoutMs);

  #initialAuthorities(): InitialAuthorities {
    const {
      client,
      initialAuthorities: manifests,
      createDefaultAuthority: createDefault,
      replica,
      log,
    } = this.#options;
    return new InitialAuthorities({ client, authorities: replica.caches.authorities, manifests, createDefault, log });
  }

  #metricsCertificate(): MetricsCertificate | undefined {
    const { client, namespace, metricsService: service, replica, log } = this.#options;
    const { certificates } = replica.caches;
    return service && new MetricsCertificate({ client, certificates, namespace, service, log });
  }

  #controller(name: keyof Queues, reconcilers: Reconcilers): Controller {
    const { log, observer } = this.#options;
    const controller = new Controller({
      name,
      queue: this.#queues[name],
      workers: this.#workers[name],
      reconcile: (key, context) => reconcilers[name].reconcile(key, context),
      log,
      onResult: (record) => observer.onReconcile(name, record),
    });
    this.#controllers.set(name, controller);
    return controller;
  }
}
