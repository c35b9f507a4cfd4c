import { apiVersion, defaultAuthorityName, managerName } from '../api/constants.ts';
import {
  Controller,
  type ControllerOptions,
  EventRecorder,
  isKubeError,
  type KubeClient,
  type Lead,
  type Log,
  type ReconcileRecord,
  sleep,
  WorkQueue,
} from '../kube/index.ts';
import { StandbyRoots } from './authority/standby-roots.ts';
import type { AuthorityStates } from './cache/authority-states.ts';
import type { Caches } from './cache/caches.ts';
import type { Queues } from './event-handlers.ts';
import { authorityRecord, authorities as authorityResource } from './objects/resources.ts';
import { Reconcilers } from './reconcilers.ts';

/** What the operator is made of that is not its own. */
export interface OperatorOptions {
  readonly client: KubeClient;
  /** Where root Secrets are. */
  readonly namespace: string;
  /** Name of this replica, for events. */
  readonly identity: string;
  readonly workers: number;
  /** RSA keys in the making at a time. */
  readonly rsaKeyWorkers: number;
  /** Make the MtlsAuthority `default` in a cluster that has no authority at all. */
  readonly createDefaultAuthority: boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly observer: OperatorObserver;
}

/** What the operator tells of itself as it works. */
export interface OperatorObserver {
  onReconcile(controller: string, record: ReconcileRecord): void;
  onIssued(role: string, reason: string): void;
  onReflectorError(resource: string, code: string): void;
  /** A collection was listed: so many objects were read. */
  onListed(count: number): void;
}

/** One namespace has this part of the workers at most: what it floods the API server with, all others wait for, too. */
const namespaceShare = 4;
/** There are few authorities, and what they do is a handful of requests. */
const authorityWorkers = 2;
/** A bundle is one small write; with these, ten thousand namespaces take some ten seconds. */
const trustWorkers = 4;
const retryDefaultAuthorityMs = 2000;
/** Nothing else is done until then. */
const createDefaultAuthorityMs = 5000;

/** All of the operator in one process: caches that every replica keeps, and controllers that the leader runs. */
export class Operator {
  readonly authorityStates: AuthorityStates;
  readonly caches: Caches;
  readonly #options: OperatorOptions;
  readonly #queues: Queues;
  readonly #recorder: EventRecorder;
  readonly #reconcilers: Reconcilers;
  readonly #standby: StandbyRoots;
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;

  constructor(options: OperatorOptions) {
    const { client, namespace, identity, rsaKeyWorkers, log, now, observer } = options;
    this.#options = options;
    const maxPerFlow = Math.ceil(options.workers / namespaceShare);
    this.#queues = {
      authority: new WorkQueue(),
      certificate: new WorkQueue({ maxPerFlow }),
      trust: new WorkQueue(),
    };
    this.#recorder = new EventRecorder({
      client,
      reportingController: managerName,
      reportingInstance: identity,
      isBusy: () => this.#queues.certificate.length > 0,
      log,
    });
    const [recorder, queues] = [this.#recorder, this.#queues];
    this.#reconcilers = new Reconcilers({ client, namespace, rsaKeyWorkers, recorder, observer, log, now, queues });
    this.authorityStates = this.#reconcilers.authorityStates;
    this.caches = this.#reconcilers.caches;
    this.#standby = new StandbyRoots({
      authorities: this.caches.authorities,
      rootSecrets: this.caches.rootSecrets,
      refresh: (authority, signal) => this.#reconcilers.authority.refresh(authority, signal),
      log,
    });
  }

  /** True once every cache holds what the API server holds. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves at that moment. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** How many keys wait, by controller. */
  queueLengths(): Record<keyof Queues, number> {
    const { authority, certificate, trust } = this.#queues;
    return { authority: authority.length, certificate: certificate.length, trust: trust.length };
  }

  /** Keeps the caches until the signal aborts; that ends the operator. */
  async cache(signal: AbortSignal): Promise<void> {
    const { client, namespace, log, observer } = this.#options;
    await this.caches.keep(
      {
        client,
        namespace,
        log,
        onError: (resource, code) => observer.onReflectorError(resource, code),
        onListed: (count) => observer.onListed(count),
        onClusterTrustBundlesServed: () => this.#reconcilers.eventHandlers.clusterTrustBundles(),
        onPasswordsListed: () => this.#reconcilers.eventHandlers.usersOfPasswords(),
      },
      signal,
      () => this.#reconcilers.refreshRoots(signal),
      () => {
        const { certificates, secrets } = this.caches;
        this.#standby.start();
        log.info('caches are filled', { certificates: certificates.size, secrets: secrets.size });
        this.#hasSynced = true;
        this.#synced.resolve();
      },
    );
    await this.#standby.stop();
    // A renewal that is due in months would otherwise keep the process alive.
    for (const queue of Object.values(this.#queues)) queue.shutDown();
    await this.#recorder.flush(2000);
  }

  /** Runs the controllers for as long as this replica leads; resolves when what was under way has ended. */
  readonly lead: Lead = async (leadership, lost) => {
    await this.#standby.stop();
    await this.#reconcilers.beginToLead(leadership);
    this.#reconcilers.eventHandlers.all();
    try {
      // Before anything else, so that no certificate that refers to it is told that it does not exist.
      const isMade = await this.#createDefaultAuthority(leadership);
      await Promise.all([
        isMade ? undefined : this.#createDefaultAuthorityLater(leadership),
        this.#controller('authority', authorityWorkers, this.#reconcilers.authority).run(leadership, lost),
        this.#controller('certificate', this.#options.workers, this.#reconcilers.certificate).run(leadership, lost),
        this.#controller('trust', trustWorkers, this.#reconcilers.trust).run(leadership, lost),
      ]);
    } finally {
      this.#standby.start();
    }
  };

  #controller(
    name: keyof Queues,
    workers: number,
    reconciler: { readonly reconcile: ControllerOptions['reconcile'] },
  ): Controller {
    const { log, observer } = this.#options;
    return new Controller({
      name,
      queue: this.#queues[name],
      workers,
      reconcile: (key, context) => reconciler.reconcile(key, context),
      log,
      onResult: (record) => observer.onReconcile(name, record),
    });
  }

  /** True when there is nothing more to be done about the default authority; false when its creation has failed. */
  async #createDefaultAuthority(signal: AbortSignal): Promise<boolean> {
    const { client, createDefaultAuthority, log } = this.#options;
    const { authorities } = this.caches;
    if (!createDefaultAuthority || authorities.size > 0 || signal.aborted) return true;
    const spec = { secretName: 'mtls-root', root: {} };
    const object = { apiVersion, kind: 'MtlsAuthority', metadata: { name: defaultAuthorityName }, spec };
    try {
      // The API server fills in the defaults that the type of a served object has.
      const served = object as Parameters<typeof authorityRecord>[0];
      const options = { signal, timeoutMs: createDefaultAuthorityMs };
      authorities.observe(authorityRecord(await client.create(authorityResource, served, options)));
      log.info('created the default authority', { authority: defaultAuthorityName });
      return true;
    } catch (error) {
      if (isKubeError(error, 'AlreadyExists', 'Aborted')) return true;
      log.warn('the default authority could not be created', { error });
      return false;
    }
  }

  async #createDefaultAuthorityLater(signal: AbortSignal): Promise<void> {
    do await sleep(retryDefaultAuthorityMs, signal);
    while (!(await this.#createDefaultAuthority(signal)));
  }
}
