import type { GuardedClient, Log } from '../kube/index.ts';
import type { Certificate } from '../pki/index.ts';
import { rootsInStatus } from '../plan/index.ts';
import { AuthorityObserver } from './authority/authority-observer.ts';
import { StandbyRoots } from './authority/standby-roots.ts';
import { AuthorityStates } from './cache/authority-states.ts';
import { Caches } from './cache/caches.ts';
import { TrustPublications } from './trust/trust-publications.ts';

export interface ReplicaOptions {
  readonly client: GuardedClient;
  /** Where root Secrets are. */
  readonly namespace: string;
  readonly log: Log;
  readonly now: () => Date;
  /** Milliseconds of a clock that only goes forward. Default: the one of the process. */
  readonly monotonicMs?: (() => number) | undefined;
}

/** What every replica keeps up to date, whether it leads or not: the caches, and the state of every authority's root. */
export class Replica {
  readonly caches: Caches;
  readonly authorityStates = new AuthorityStates();
  readonly #log: Log;
  readonly #observer: AuthorityObserver;

  constructor({ client, namespace, log, now, monotonicMs }: ReplicaOptions) {
    this.#log = log;
    this.caches = new Caches(this.roots, monotonicMs);
    const { caches, authorityStates } = this;
    const publications = new TrustPublications(client, caches, authorityStates);
    this.#observer = new AuthorityObserver({ client, namespace, caches, authorityStates, publications, now });
  }

  /**
   * The roots that may have signed a leaf in a Secret: those of every authority. Until the root Secret of an authority was
   * read, the roots in its status count: a certificate whose root is not known holds no gate of a rotation.
   */
  readonly roots = (): readonly Certificate[] => {
    const unread = [...this.caches.authorities.values()].filter(
      ({ name }) => this.authorityStates.get(name).state === 'unknown',
    );
    return [...this.authorityStates.roots(), ...unread.flatMap(({ status }) => rootsInStatus(status))];
  };

  /** Reads and judges the root of every authority, without writing anything. */
  async refreshRoots(signal: AbortSignal, observer = this.#observer): Promise<void> {
    for (const name of this.caches.authorities.keys()) {
      try {
        await observer.refresh(name, signal);
      } catch (error) {
        // The certificates of this authority wait until a later read succeeds.
        this.#log.warn('could not read a root Secret', { authority: name, error });
      }
    }
  }

  /** Keeps the roots up to date on a replica that does not lead, until the result is stopped. */
  standBy(): StandbyRoots {
    const { authorities, rootSecrets } = this.caches;
    const refresh = (authority: string, signal: AbortSignal) => this.#observer.refresh(authority, signal);
    return new StandbyRoots({ authorities, rootSecrets, refresh, log: this.#log });
  }
}
