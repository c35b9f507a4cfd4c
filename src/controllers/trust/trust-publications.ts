import { type GuardedClient, type KubeObject, keyOf, type ObjectMeta } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  configMapIn,
  type DesiredCondition,
  type Publication,
  publicationsOf,
  type TrustOutcome,
  type TrustRecord,
  type TrustSources,
  trustCondition,
  trustTargets,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { Caches } from '../cache/caches.ts';
import { type TrustCache, targetOf } from '../cache/trust-cache.ts';
import {
  authorityOf,
  inClusterTrustBundle,
  inConfigMap,
  type TrustKind,
  trustSelector,
} from '../objects/trust-objects.ts';

/** How publishing to a target ended last, if that was under this name. */
interface TrustOutcomes {
  outcome(authority: string, namespace: string, desiredName: string): TrustOutcome | undefined;
}

/** Where the bundles of authorities are published, and which, as the caches know it. */
export class TrustPublications {
  readonly #client: GuardedClient;
  readonly #caches: Caches;
  readonly #authorityStates: AuthorityStates;
  readonly #trust: TrustOutcomes;

  /** @param trust what publishing came to; a replica that does not lead knows nothing of it */
  constructor(
    client: GuardedClient,
    caches: Caches,
    authorityStates: AuthorityStates,
    trust: TrustOutcomes = { outcome: () => undefined },
  ) {
    this.#client = client;
    this.#caches = caches;
    this.#authorityStates = authorityStates;
    this.#trust = trust;
  }

  /**
   * All objects that are to hold the authority's bundle now. Left out is what somebody else has, and what is in namespaces
   * that are being deleted.
   */
  of(authority: AuthorityRecord): readonly Publication[] {
    return publicationsOf(trustTargets(authority, this.#world()));
  }

  /** The condition TrustPublished; none where spec has never asked for published bundles. */
  conditions(authority: AuthorityRecord): readonly DesiredCondition[] {
    const world = this.#world();
    const view = this.#authorityStates.get(authority.name);
    const targets = authority.spec.trustBundle === undefined ? [] : trustTargets(authority, world);
    const condition = trustCondition(authority, view, targets, world);
    return condition === undefined ? [] : [condition];
  }

  /**
   * Reads what an authority has published again from the API server, past the watches, which may be behind. What turns out
   * to be newer than the caches have it is taken in, and counts from now on. Anybody can make objects with these labels, and
   * large ones: first their metadata are read, and then the content of those that can be the authority's.
   * @throws KubeError
   */
  async renew(authority: AuthorityRecord, signal: AbortSignal): Promise<void> {
    const { configMaps: inNamespaces, clusterTrustBundles: inCluster, servesClusterTrustBundles } = this.#caches;
    await this.#renewKind(inConfigMap, inNamespaces, authority, signal);
    if (servesClusterTrustBundles === true) await this.#renewKind(inClusterTrustBundle, inCluster, authority, signal);
  }

  async #renewKind<T extends KubeObject>(
    { resource, toRecord }: TrustKind<T>,
    cache: TrustCache,
    authority: AuthorityRecord,
    signal: AbortSignal,
  ): Promise<void> {
    const selection = { labelSelector: trustSelector, metadataOnly: true, limit: 500, signal };
    for await (const { items } of this.#client.listPages(resource, selection)) {
      for (const { metadata } of items) {
        const isKnown = cache.store.current(metadata) !== undefined;
        if (isKnown || !this.#canBeOf(authority, cache, metadata)) continue;
        const object = await this.#client.find(resource, metadata, { signal });
        if (object !== undefined) cache.store.observe(cache.withChangeTime(toRecord(object)));
      }
    }
  }

  /** True for an object that names the authority as its owner, where the authority has one already, or wants one. */
  #canBeOf(authority: AuthorityRecord, cache: TrustCache, metadata: ObjectMeta): boolean {
    if (authorityOf(metadata)?.uid !== authority.uid) return false;
    const { namespace, name } = metadata;
    if (namespace === undefined || cache.store.has(keyOf({ namespace, name }))) return true;
    const place = this.#caches.namespaces.get(namespace);
    return place !== undefined && configMapIn(authority, place) === name;
  }

  #world(): TrustSources {
    const { namespaces, configMaps, clusterTrustBundles, servesClusterTrustBundles } = this.#caches;
    return {
      namespaces: namespaces.values(),
      servesClusterTrustBundles,
      existing: ({ uid }, namespace, desiredName) => {
        const { store } = namespace === '' ? clusterTrustBundles : configMaps;
        return withNamed(
          store.by('place', targetOf(uid, namespace)),
          store.get(keyOf({ namespace, name: desiredName })),
        );
      },
      wasDeleted: ({ uid }, namespace, name) => {
        const cache = namespace === '' ? clusterTrustBundles : configMaps;
        return cache.isLost(uid, namespace, name);
      },
      outcome: ({ name }, namespace, desiredName) => this.#trust.outcome(name, namespace, desiredName),
    };
  }
}

const withNamed = (own: readonly TrustRecord[], named: TrustRecord | undefined): readonly TrustRecord[] =>
  named === undefined || own.includes(named) ? own : [...own, named];
