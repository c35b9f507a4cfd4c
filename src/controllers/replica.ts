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
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  /** The namespaces to watch besides the operator's own. Default: all. */
  readonly watchNamespaces?: readonly string[] | undefined;
  /** See Config. Default: false. */
  readonly injectCa?: boolean | undefined;
  /** See Config. Default: false. */
  readonly podCertificates?: boolean | undefined;
  /** See Config. Default: false. */
  readonly podEvidence?: boolean | undefined;
  readonly log: Log;
  readonly now: () => Date;
  /** A monotonic clock in milliseconds. Default: `performance.now()`. */
  readonly monotonicMs?: (() => number) | undefined;
}

/** The caches and the state of every authority's root. Every replica keeps them up to date, whether it leads or not. */
export class Replica {
  readonly caches: Caches;
  readonly authorityStates = new AuthorityStates();
  readonly #log: Log;
  readonly #observer: AuthorityObserver;

  constructor(options: ReplicaOptions) {
    const { client, namespace, watchNamespaces, injectCa, podCertificates, podEvidence, log, now, monotonicMs } =
      options;
    this.#log = log;
    const watched = watchNamespaces && [...watchNamespaces, namespace];
    this.caches = new Caches(this.roots, monotonicMs, watched, injectCa, podCertificates, podEvidence);
    const { caches, authorityStates } = this;
    const publications = new TrustPublications(client, caches, authorityStates);
    this.#observer = new AuthorityObserver({ client, namespace, caches, authorityStates, publications, now });
  }

  /**
   * The roots that may have signed a leaf in a Secret: the roots of every authority. Before the root Secret of an authority is
   * read, the roots in its status count instead: a leaf with an unknown root would not keep a gate of a rotation closed.
   */
  readonly roots = (): readonly Certificate[] => {
    const unread = [...this.caches.authorities.values()].filter(
      ({ name }) => this.authorityStates.get(name).state === 'unknown',
    );
    return [...this.authorityStates.roots(), ...unread.flatMap(({ status }) => rootsInStatus(status))];
  };

  /** Reads and validates the root of every authority. Writes nothing. */
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

  /** Starts to keep the roots up to date on a replica that does not lead. */
  standBy(): StandbyRoots {
    const { authorities, rootSecrets } = this.caches;
    const refresh = (authority: string, signal: AbortSignal) => this.#observer.refresh(authority, signal);
    return new StandbyRoots({ authorities, rootSecrets, refresh, log: this.#log });
  }
}
