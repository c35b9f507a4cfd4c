import { clusterTrustBundles, configMaps, isKubeError, type KubeClient, keyOf, namespaces } from '../kube/index.ts';
import {
  type AuthorityRecord,
  type NamespaceRecord,
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
import { namespaceRecord } from './resources.ts';
import type { TrustReconciler } from './trust.ts';
import { inClusterTrustBundle, inConfigMap, trustSelector } from './trust-objects.ts';
import { placeOf } from './trust-writer.ts';

/** Objects on one page of a listing. */
const pageSize = 500;

/** Where bundles are published, and which: as the caches know it, and as the API server says. */
export class Publications {
  readonly #caches: Caches;
  readonly #client: KubeClient;
  readonly #views: AuthorityViews;
  readonly #outcome: TrustWorld['outcome'];

  constructor(caches: Caches, client: KubeClient, views: AuthorityViews, trust: Pick<TrustReconciler, 'outcome'>) {
    this.#caches = caches;
    this.#client = client;
    this.#views = views;
    this.#outcome = (authority, namespace, wanted) => trust.outcome(authority.name, namespace, wanted);
  }

  /**
   * All objects that are to hold the authority's bundle now, by the caches. Left out is what somebody else has, and what is
   * in namespaces that are being deleted.
   */
  cached(authority: AuthorityRecord): readonly Publication[] {
    return publicationsOf(trustPlaces(authority, this.#cachedWorld()));
  }

  /**
   * The same past the caches, which may be behind.
   * @throws KubeError
   */
  async live(authority: AuthorityRecord, signal: AbortSignal): Promise<readonly Publication[]> {
    if (authority.spec.trustBundle === undefined) return [];
    const listed: TrustRecord[] = [];
    const all: NamespaceRecord[] = [];
    const options = { limit: pageSize, signal };
    for await (const { items } of this.#client.listPages(namespaces, { ...options, metadataOnly: true })) {
      all.push(...items.map(namespaceRecord));
    }
    const own = { ...options, labelSelector: trustSelector };
    for await (const { items } of this.#client.listPages(configMaps, own)) {
      listed.push(...items.map(inConfigMap.toRecord));
    }
    let isServed = true;
    try {
      const { items } = await this.#client.list(clusterTrustBundles, { labelSelector: trustSelector, signal });
      listed.push(...items.map(inClusterTrustBundle.toRecord));
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
      isServed = false;
    }
    return publicationsOf(trustPlaces(authority, worldOf(all, listed, isServed, this.#outcome)));
  }

  /** The condition TrustPublished, where spec asks for published bundles. */
  conditions(authority: AuthorityRecord): readonly WantedCondition[] {
    if (authority.spec.trustBundle === undefined) return [];
    const world = this.#cachedWorld();
    const view = this.#views.view(authority.name);
    const condition = trustCondition(authority, view, trustPlaces(authority, world), world);
    return condition === undefined ? [] : [condition];
  }

  #cachedWorld(): TrustWorld {
    const { namespaces, configMaps, clusterTrustBundles, servesClusterTrustBundles } = this.#caches;
    return {
      namespaces: namespaces.values(),
      servesClusterTrustBundles,
      found: ({ uid }, namespace, wanted) => {
        const store = namespace === '' ? clusterTrustBundles : configMaps;
        return withNamed(store.by('place', placeOf(uid, namespace)), store.get(keyOf({ namespace, name: wanted })));
      },
      outcome: this.#outcome,
    };
  }
}

/** The world of complete listings. */
export function worldOf(
  namespaces: readonly NamespaceRecord[],
  listed: readonly TrustRecord[],
  servesClusterTrustBundles: boolean,
  outcome: TrustWorld['outcome'],
): TrustWorld {
  const byNamespace = Map.groupBy(listed, ({ namespace }) => namespace);
  return {
    namespaces,
    servesClusterTrustBundles,
    found: ({ uid }, namespace, wanted) => {
      const there = byNamespace.get(namespace) ?? [];
      return there.filter(({ owner, name }) => owner === uid || name === wanted);
    },
    outcome,
  };
}

const withNamed = (own: readonly TrustRecord[], named: TrustRecord | undefined): readonly TrustRecord[] =>
  named === undefined || own.includes(named) ? own : [...own, named];
