import { clusterTrustBundles, configMaps, type KubeClient, keyOf } from '../kube/index.ts';
import {
  type AuthorityRecord,
  type Publication,
  publicationsOf,
  type TrustRecord,
  type TrustWorld,
  trustCondition,
  trustPlaces,
  type WantedCondition,
} from '../plan/index.ts';
import type { AuthorityViews } from './authority-views.ts';
import type { Caches } from './caches.ts';
import type { TrustReconciler } from './trust.ts';
import { placeOf } from './trust-cache.ts';
import { inClusterTrustBundle, inConfigMap, trustSelector } from './trust-objects.ts';

/** Where the bundles of authorities are published, and which, as the caches know it. */
export class Publications {
  readonly #client: KubeClient;
  readonly #caches: Caches;
  readonly #views: AuthorityViews;
  readonly #trust: Pick<TrustReconciler, 'outcome'>;

  constructor(client: KubeClient, caches: Caches, views: AuthorityViews, trust: Pick<TrustReconciler, 'outcome'>) {
    this.#client = client;
    this.#caches = caches;
    this.#views = views;
    this.#trust = trust;
  }

  /**
   * All objects that are to hold the authority's bundle now. Left out is what somebody else has, and what is in namespaces
   * that are being deleted.
   */
  of(authority: AuthorityRecord): readonly Publication[] {
    return publicationsOf(trustPlaces(authority, this.#world()));
  }

  /** The condition TrustPublished, where spec asks for published bundles. */
  conditions(authority: AuthorityRecord): readonly WantedCondition[] {
    if (authority.spec.trustBundle === undefined) return [];
    const world = this.#world();
    const view = this.#views.view(authority.name);
    const condition = trustCondition(authority, view, trustPlaces(authority, world), world);
    return condition === undefined ? [] : [condition];
  }

  /**
   * Reads all that is published anew from the API server, past the watches, which may be behind. What turns out to be newer
   * than the caches have it is taken in, and counts from now on.
   * @throws KubeError
   */
  async renew(signal: AbortSignal): Promise<void> {
    const { configMaps: inNamespaces, clusterTrustBundles: inCluster, servesClusterTrustBundles } = this.#caches;
    const selection = { labelSelector: trustSelector, limit: 500, signal };
    for await (const { items } of this.#client.listPages(configMaps, selection)) {
      for (const object of items) inNamespaces.store.observe(inNamespaces.dated(inConfigMap.toRecord(object)));
    }
    if (servesClusterTrustBundles !== true) return;
    for await (const { items } of this.#client.listPages(clusterTrustBundles, selection)) {
      for (const object of items) inCluster.store.observe(inCluster.dated(inClusterTrustBundle.toRecord(object)));
    }
  }

  #world(): TrustWorld {
    const { namespaces, configMaps, clusterTrustBundles, servesClusterTrustBundles } = this.#caches;
    return {
      namespaces: namespaces.values(),
      servesClusterTrustBundles,
      found: ({ uid }, namespace, wanted) => {
        const { store } = namespace === '' ? clusterTrustBundles : configMaps;
        return withNamed(store.by('place', placeOf(uid, namespace)), store.get(keyOf({ namespace, name: wanted })));
      },
      isLost: ({ uid }, namespace, name) => {
        const cache = namespace === '' ? clusterTrustBundles : configMaps;
        return cache.isLost(uid, namespace, name);
      },
      outcome: ({ name }, namespace, wanted) => this.#trust.outcome(name, namespace, wanted),
    };
  }
}

const withNamed = (own: readonly TrustRecord[], named: TrustRecord | undefined): readonly TrustRecord[] =>
  named === undefined || own.includes(named) ? own : [...own, named];
