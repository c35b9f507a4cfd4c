import { managerName } from '../api/constants.ts';
import {
  Controller,
  EventRecorder,
  type KubeClient,
  type Log,
  type ReconcileRecord,
  WorkQueue,
} from '../kube/index.ts';
import type { RotationReport } from '../plan/index.ts';
import { DefaultAuthority } from './authority/default-authority.ts';
import type { Queues } from './event-handlers.ts';
import { beginTerm, type Reconcilers } from './reconcilers.ts';
import type { Replica } from './replica.ts';

export interface LeaderTermOptions {
  readonly client: KubeClient;
  readonly replica: Replica;
  /** Where root Secrets are. */
  readonly namespace: string;
  /** Name of this replica, for events. */
  readonly identity: string;
  /** Certificates that are reconciled at a time. */
  readonly workers: number;
  /** RSA keys that are generated at a time. */
  readonly rsaKeyWorkers: number;
  /** Create the MtlsAuthority `default` in a cluster that has no authority. */
  readonly createDefaultAuthority: boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly observer: LeaderObserver;
}

/** What a term reports as it works, for metrics. */
export interface LeaderObserver {
  onReconcile(controller: string, record: ReconcileRecord): void;
  onIssued(role: string, reason: string): void;
}

/** A namespace gets at most this part of the workers: all others wait for the writes that it floods the API server with. */
const namespaceShare = 4;
/** There are few authorities, and a reconcile of one is a handful of requests. */
const authorityWorkers = 2;
/** A bundle is one small write: these publish to ten thousand namespaces in some ten seconds. */
const trustWorkers = 4;

/**
 * One term of a leader: queues, event handlers, reconcilers and controllers, which are built when the term begins and dropped
 * when it ends. A term runs once.
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

  /** How many keys wait, by controller. */
  get queueLengths(): Readonly<Record<keyof Queues, number>> {
    const { authority, certificate, trust } = this.#queues;
    return { authority: authority.length, certificate: certificate.length, trust: trust.length };
  }

  /** The rotations in progress by name of authority. */
  get rotations(): ReadonlyMap<string, RotationReport> {
    return this.#reconcilers?.authority.rotations ?? new Map();
  }

  /** Works until `leadership` aborts. Resolves when the reconciles in progress have ended; `lost` aborts them. */
  async run(leadership: AbortSignal, lost: AbortSignal): Promise<void> {
    const recorder = this.#recorder;
    const queues = this.#queues;
    const reconcilers = await beginTerm({ ...this.#options, recorder, queues }, leadership);
    this.#reconcilers = reconcilers;
    try {
      const defaultAuthority = this.#defaultAuthority();
      // First of all: otherwise certificates that refer to it would say that it does not exist.
      const isDone = (await defaultAuthority?.create(leadership)) ?? true;
      await Promise.all([
        isDone ? undefined : defaultAuthority?.createLater(leadership),
        this.#controller('authority', authorityWorkers, reconcilers).run(leadership, lost),
        this.#controller('certificate', this.#options.workers, reconcilers).run(leadership, lost),
        this.#controller('trust', trustWorkers, reconcilers).run(leadership, lost),
      ]);
    } finally {
      reconcilers.stop();
      // A timer for a renewal in three months would keep the process alive.
      for (const queue of Object.values(queues)) queue.shutDown();
    }
  }

  /** Sends the last events. To be called when the Lease is released: nobody waits for them. */
  flush = (timeoutMs: number): Promise<void> => this.#recorder.flush(timeoutMs);

  #defaultAuthority(): DefaultAuthority | undefined {
    const { client, createDefaultAuthority, replica, log } = this.#options;
    return createDefaultAuthority
      ? new DefaultAuthority({ client, authorities: replica.caches.authorities, log })
      : undefined;
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
