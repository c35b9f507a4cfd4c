import type { KubeClient, Log, RunAsLeader } from '../kube/index.ts';
import type { StandbyRoots } from './authority/standby-roots.ts';
import type { AuthorityStates } from './cache/authority-states.ts';
import type { Caches } from './cache/caches.ts';
import { keepCaches } from './cache/keep-caches.ts';
import { type LeaderObserver, LeaderTerm, type LeaderTermOptions } from './leader-term.ts';
import { Replica } from './replica.ts';

/** What the operator is given. */
export interface OperatorOptions extends Omit<LeaderTermOptions, 'replica'> {
  readonly client: KubeClient;
  readonly log: Log;
  readonly observer: OperatorObserver;
}

/** What the operator reports as it works, for metrics. */
export interface OperatorObserver extends LeaderObserver {
  onReflectorError(resource: string, code: string): void;
  /** A collection was listed, with so many objects. */
  onListed(count: number): void;
}

const lastEventsMs = 2000;

/**
 * The operator in one process. Every replica has a Replica: caches and the state of the roots. The leader has a LeaderTerm
 * for as long as it leads; a replica that does not lead has StandbyRoots, which keep the state of the roots up to date.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #replica: Replica;
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  #standby: StandbyRoots | undefined;
  #term: LeaderTerm | undefined;
  /** Resolves when the events of the terms that have ended are sent. */
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
  get term(): Pick<LeaderTerm, 'queueLengths' | 'rotations'> | undefined {
    return this.#term;
  }

  /** True once every cache holds what the API server holds. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves at that moment. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Keeps the caches until the signal aborts; that ends the operator. */
  async cache(signal: AbortSignal): Promise<void> {
    const { client, namespace, log, observer } = this.#options;
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

  /** Leads until `leadership` aborts. Resolves when the work in progress has ended. */
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
