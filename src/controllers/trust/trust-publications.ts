import { type GuardedClient, type KubeObject, keyOf, type ObjectMeta, type Resource } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  configMapIn,
  type DesiredCondition,
  type InjectionKind,
  type Injections,
  injectedPublications,
  injectionKinds,
  type Publication,
  publicationsOf,
  type TrustOutcome,
  type TrustRecord,
  type TrustSources,
  trustCondition,
  trustTargets,
  unreadableNamespaces,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { Caches } from '../cache/caches.ts';
import { type TrustCache, targetOf } from '../cache/trust-cache.ts';
import { injectedKinds, injectionRecord } from '../objects/injection-objects.ts';
import {
  authorityOf,
  inClusterTrustBundle,
  inConfigMap,
  type TrustKind,
  trustSelector,
} from '../objects/trust-objects.ts';

/** Returns the last outcome of publishing to a target; undefined if the operator did not publish under this name. */
interface TrustOutcomes {
  outcome(authority: string, namespace: string, desiredName: string): TrustOutcome | undefined;
}

/** Returns the outcome of the last injection into an object; undefined if there was none. */
interface InjectionOutcomes {
  injected(kind: InjectionKind, name: string): TrustOutcome | undefined;
}

/** The published bundles of authorities, from the caches. */
export class TrustPublications {
  readonly #client: GuardedClient;
  readonly #caches: Caches;
  readonly #authorityStates: AuthorityStates;
  readonly #trust: TrustOutcomes;
  readonly #outcomes: InjectionOutcomes;

  /** @param trust the outcomes of publishing, and of injecting. Default, for a replica that does not lead: no outcomes. */
  constructor(
    client: GuardedClient,
    caches: Caches,
    authorityStates: AuthorityStates,
    trust: TrustOutcomes = { outcome: () => undefined },
    injected: InjectionOutcomes = { injected: () => undefined },
  ) {
    this.#client = client;
    this.#caches = caches;
    this.#authorityStates = authorityStates;
    this.#trust = trust;
    this.#outcomes = injected;
  }

  /**
   * All objects that should hold the authority's bundle now, except objects of other owners and objects in namespaces that are
   * being deleted.
   */
  of(authority: AuthorityRecord): readonly Publication[] {
    const targets = publicationsOf(trustTargets(authority, this.#world()));
    return [...targets, ...injectedPublications(this.#injections(authority))];
  }

  /** The condition TrustPublished; none if spec has never requested published bundles. */
  conditions(authority: AuthorityRecord): readonly DesiredCondition[] {
    const world = this.#world();
    const view = this.#authorityStates.get(authority.name);
    const targets = authority.spec.trustBundle === undefined ? [] : trustTargets(authority, world);
    const { names: watched } = this.#caches.watched;
    const scope =
      watched === undefined ? world : { ...world, watched, unreadable: unreadableNamespaces(authority, this.#world()) };
    const condition = trustCondition(authority, view, targets, { ...scope, injections: this.#injections(authority) });
    return condition === undefined ? [] : [condition];
  }

  /**
   * Reads the published bundles of an authority again from the API server, because the watches may be late. Newer objects go
   * into the caches and count in the next observation. Any user can create large objects with these labels. So the metadata is
   * read first, and the content only of objects that can belong to the authority.
   * @throws KubeError
   */
  async renew(authority: AuthorityRecord, signal: AbortSignal): Promise<void> {
    const { configMaps: inNamespaces, clusterTrustBundles: inCluster, servesClusterTrustBundles } = this.#caches;
    for (const namespace of this.#caches.watched.readable('configmaps')) {
      await this.#renewKind(inConfigMap, inNamespaces, authority, signal, namespace);
    }
    if (servesClusterTrustBundles === true) await this.#renewKind(inClusterTrustBundle, inCluster, authority, signal);
    await this.#renewInjections(authority, signal);
  }

  /** The objects into which the roots of an authority are injected. */
  #injections({ name: authority }: AuthorityRecord): Injections {
    const { injections } = this.#caches;
    const targets = injections.of(authority).flatMap(({ kind, name, request }) => {
      const outcome = this.#outcomes.injected(kind, name);
      return request === undefined ? [] : [{ ...request, kind, name, ...(outcome === undefined ? {} : { outcome }) }];
    });
    const forbidden = injections.forbidden.map((kind) => rightOf(injectedKinds[kind].resource));
    return { targets, forbidden };
  }

  async #renewInjections(authority: AuthorityRecord, signal: AbortSignal): Promise<void> {
    const { injections } = this.#caches;
    if (!injections.isOn) return;
    for (const kind of injectionKinds.filter((one) => !injections.forbidden.includes(one))) {
      const { resource } = injectedKinds[kind];
      const store = injections.store(kind);
      for await (const { items } of this.#client.listPages(resource, { metadataOnly: true, limit: 500, signal })) {
        for (const found of items) {
          if (injectionRecord(kind, found).request?.authority !== authority.name) continue;
          if (store.current(found.metadata)?.request?.content !== undefined) continue;
          const object = await this.#client.find(resource, found.metadata, { signal });
          if (object !== undefined) injections.observe(kind, object);
        }
      }
    }
  }

  async #renewKind<T extends KubeObject>(
    { resource, toRecord }: TrustKind<T>,
    cache: TrustCache,
    authority: AuthorityRecord,
    signal: AbortSignal,
    namespace?: string,
  ): Promise<void> {
    const selection = { namespace, labelSelector: trustSelector, metadataOnly: true, limit: 500, signal };
    for await (const { items } of this.#client.listPages(resource, selection)) {
      for (const { metadata } of items) {
        const isKnown = cache.store.current(metadata) !== undefined;
        if (isKnown || !this.#canBeOf(authority, cache, metadata)) continue;
        const object = await this.#client.find(resource, metadata, { signal });
        if (object !== undefined) cache.store.observe(cache.withChangeTime(toRecord(object)));
      }
    }
  }

  /**
   * True for an object that names the authority as its owner, and that is cached or has a name under which the authority
   * publishes.
   */
  #canBeOf(authority: AuthorityRecord, cache: TrustCache, metadata: ObjectMeta): boolean {
    if (authorityOf(metadata)?.uid !== authority.uid) return false;
    const { namespace, name } = metadata;
    if (namespace === undefined || cache.store.has(keyOf({ namespace, name }))) return true;
    const record = this.#caches.namespace(namespace);
    return record !== undefined && configMapIn(authority, record, cache.holdsBundle(authority.uid, namespace)) === name;
  }

  #world(): TrustSources {
    const { configMaps, clusterTrustBundles, servesClusterTrustBundles } = this.#caches;
    return {
      namespaces: this.#caches.knownNamespaces(),
      servesClusterTrustBundles,
      existing: ({ uid }, namespace, desiredName) => {
        const { store } = namespace === '' ? clusterTrustBundles : configMaps;
        return withNamed(
          store.by('target', targetOf(uid, namespace)),
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

/** A resource as a right names it. */
const rightOf = ({ plural, group }: Resource<KubeObject>): string => `${plural}.${group}`;
