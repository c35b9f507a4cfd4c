import type { KubeClient, Log, RunAsLeader } from '../kube/index.ts';
import type { StandbyRoots } from './authority/standby-roots.ts';
import type { AuthorityStates } from './cache/authority-states.ts';
import type { Caches } from './cache/caches.ts';
import { keepCaches } from './cache/keep-caches.ts';
import { type LeaderObserver, LeaderTerm, type LeaderTermOptions } from './leader-term.ts';
import { Replica } from './replica.ts';

export interface OperatorOptions extends Omit<LeaderTermOptions, 'replica'> {
  readonly client: KubeClient;
  /** See ReplicaOptions. */
  readonly watchNamespaces?: readonly string[];
  /** See ReplicaOptions. */
  readonly injectCa?: boolean;
  /** See ReplicaOptions. */
  readonly podCertificates?: boolean;
  /** See ReplicaOptions. */
  readonly podEvidence?: boolean;
  readonly log: Log;
  readonly observer: OperatorObserver;
}

/** Receives what the operator reports for metrics. */
export interface OperatorObserver extends LeaderObserver {
  onReflectorError(resource: string, code: string): void;
  /** @param count the number of objects in a collection that was just listed */
  onListed(count: number): void;
}

const lastEventsMs = 2000;

/**
 * The operator in one process. It always has a Replica: the caches and the state of the roots. While it leads it also has a
 * LeaderTerm. While it does not lead it has StandbyRoots, which keep the state of the roots up to date.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #replica: Replica;
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  #standby: StandbyRoots | undefined;
  #term: LeaderTerm | undefined;
  /** Resolves when the events of all ended terms are sent. */
  #flushed: Promise<unknown> = Promise.resolve();

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#replica = new Replica(options);
  }

  get caches(): Caches {
    return this.#replica.caches;
  }

  get authorityStates(): AuthorityStates {
    return this.#replica.authorityStates;
  }

  /** The term of this replica; undefined while it does not lead. */
  get term(): Pick<LeaderTerm, 'controllers' | 'rotations' | 'pendingPodRequests'> | undefined {
    return this.#term;
  }

  /** See KubeClient. */
  serverTime(): Date | undefined {
    return this.#options.client.serverTime();
  }

  /** True once every cache has been filled from the API server. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves when `hasSynced` becomes true. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Fills the caches and keeps them up to date. Resolves after the signal aborts and the last events are sent. */
  async cache(signal: AbortSignal): Promise<void> {
    const { client, namespace, log, observer } = this.#options;
    const { names } = this.caches.watched;
    if (names !== undefined) log.info('watching these namespaces only', { namespaces: names });
    const sources = {
      client,
      namespace,
      log,
      onError: (resource: string, code: string) => observer.onReflectorError(resource, code),
      onListed: (count: number) => observer.onListed(count),
    };
    await keepCaches(this.caches, sources, signal, {
      afterRoots: () => this.#replica.refreshRoots(signal),
      afterAll: () => this.#begin(),
    });
    await this.#standby?.stop();
    await this.#flushed;
  }

  #begin(): void {
    const { certificates, secrets } = this.caches;
    this.#standby = this.#replica.standBy();
    this.#options.log.info('caches are filled', { certificates: certificates.size, secrets: secrets.size });
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  /** Leads until `leadership` aborts. Resolves when the reconciles in progress have ended. */
  readonly lead: RunAsLeader = async (leadership, lost) => {
    await this.#standby?.stop();
    const term = new LeaderTerm({ ...this.#options, replica: this.#replica });
    this.#term = term;
    try {
      await term.run(leadership, lost);
    } finally {
      this.#term = undefined;
      this.#flushed = Promise.all([this.#flushed, term.flush(lastEventsMs)]);
      this.#standby = this.#replica.standBy();
    }
  };
}
