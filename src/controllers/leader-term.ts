import { managerName } from '../api/constants.ts';
import type { AuthorityManifest } from '../api/manifest.ts';
import {
  Controller,
  EventRecorder,
  type KubeClient,
  type Log,
  type ReconcileRecord,
  WorkQueue,
} from '../kube/index.ts';
import type { RotationReport } from '../plan/index.ts';
import { InitialAuthorities } from './authority/initial-authorities.ts';
import type { Queues } from './event-handlers.ts';
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
  /** The authorities that the leader creates when its term begins, if they do not exist. */
  readonly initialAuthorities: readonly AuthorityManifest[];
  /** Without `initialAuthorities`: create the MtlsAuthority `default` in a cluster that has no authority. */
  readonly createDefaultAuthority: boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly observer: LeaderObserver;
}

/** Receives what a term reports for metrics. */
export interface LeaderObserver {
  onReconcile(controller: string, record: ReconcileRecord): void;
  onIssued(role: string, reason: string): void;
}

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
  #reconcilers: Reconcilers | undefined;

  constructor(options: LeaderTermOptions) {
    this.#options = options;
    const { client, identity, workers, log } = options;
    this.#queues = {
      authority: new WorkQueue(),
      certificate: new WorkQueue({ maxPerFlow: Math.ceil(workers / namespaceShare) }),
      trust: new WorkQueue(),
    };
    this.#recorder = new EventRecorder({
      client,
      reportingController: managerName,
      reportingInstance: identity,
      isBusy: () => this.#queues.certificate.length > 0,
      log,
    });
  }

  /** The number of waiting keys by controller. */
  get queueLengths(): Readonly<Record<keyof Queues, number>> {
    const { authority, certificate, trust } = this.#queues;
    return { authority: authority.length, certificate: certificate.length, trust: trust.length };
  }

  /** The rotations in progress by name of authority. */
  get rotations(): ReadonlyMap<string, RotationReport> {
    return this.#reconcilers?.authority.rotations ?? new Map();
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
        this.#controller('authority', authorityWorkers, reconcilers).run(leadership, lost),
        this.#controller('certificate', this.#options.workers, reconcilers).run(leadership, lost),
        this.#controller('trust', trustWorkers, reconcilers).run(leadership, lost),
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

  #controller(name: keyof Queues, workers: number, reconcilers: Reconcilers): Controller {
    const { log, observer } = this.#options;
    return new Controller({
      name,
      queue: this.#queues[name],
      workers,
      reconcile: (key, context) => reconcilers[name].reconcile(key, context),
      log,
      onResult: (record) => observer.onReconcile(name, record),
    });
  }
}
