import type { AuthorityRecord } from '../records/authority-record.ts';
import type { NamespaceRecord } from '../records/namespace-record.ts';
import { heldByFinalizer, type Publication } from '../rotation/rollout.ts';
import { clusterTrustBundleOf, configMapIn, type TrustRecord } from './trust-plan.ts';

/** What came of the last look at a place. */
export type TrustOutcome = { readonly wanted?: string } & (
  | { readonly state: 'settled' }
  | { readonly state: 'foreign' }
  /** Another client changes the object again and again, so that the operator repairs it after pauses only. */
  | { readonly state: 'contested'; readonly message: string }
  | { readonly state: 'failed'; readonly message: string }
);

/** What is known of the places where a bundle is published. */
export interface TrustWorld {
  readonly namespaces: Iterable<NamespaceRecord>;
  /** Whether the API server has ClusterTrustBundles; undefined until that is known. */
  readonly servesClusterTrustBundles: boolean | undefined;
  /** As ObservedTrust.found; the cluster's place is the empty name. */
  readonly found: (authority: AuthorityRecord, namespace: string, wanted: string) => readonly TrustRecord[];
  /** True when an object of the authority was deleted, and is not back: pods may have mounted it. */
  readonly isLost: (authority: AuthorityRecord, namespace: string, name: string) => boolean;
  /** What came of the last look at a place under that name; undefined when there was none. */
  readonly outcome: (authority: AuthorityRecord, namespace: string, wanted: string) => TrustOutcome | undefined;
}

/** One object that is to hold the bundle now. */
export interface TrustTarget {
  readonly kind: 'ConfigMap' | 'ClusterTrustBundle';
  readonly namespace: string;
  readonly name: string;
  /** Digest of the bundle in it; absent when there is none, or when it is not the authority's. */
  readonly bundle?: string;
  /** Since when it is as it is, in milliseconds of the clock of Evidence; without end while there is none. */
  readonly changedAtMs: number;
  /** Somebody else has the name. */
  readonly isForeign: boolean;
  /** It is not there, and the API server has refused to have it: no pod can have read it. */
  readonly wasNeverThere: boolean;
  /** It has a name that spec no longer wants, and stays until the bundle is there under the new one. */
  readonly isSurplus: boolean;
  /** It was deleted, and a finalizer holds it. */
  readonly isDeleting: boolean;
  readonly outcome?: TrustOutcome;
}

/**
 * Where the bundle of an authority is to be now: all that spec selects, those that somebody else has included. Left out
 * are namespaces that are being deleted, and the ClusterTrustBundle in a cluster that has none.
 */
export function trustTargets(authority: AuthorityRecord, world: TrustWorld): TrustTarget[] {
  const places: TrustTarget[] = [];
  for (const namespace of world.namespaces) {
    const wanted = configMapIn(authority, namespace);
    if (wanted !== undefined) places.push(...placesIn(authority, 'ConfigMap', namespace.name, wanted, world));
  }
  if (authority.spec.trustBundle?.clusterTrustBundle === true && world.servesClusterTrustBundles !== false) {
    places.push(...placesIn(authority, 'ClusterTrustBundle', '', clusterTrustBundleOf(authority.name), world));
  }
  return places;
}

function placesIn(
  authority: AuthorityRecord,
  kind: TrustTarget['kind'],
  namespace: string,
  wanted: string,
  world: TrustWorld,
): TrustTarget[] {
  const found = world.found(authority, namespace, wanted);
  const own = found.filter(({ owner }) => owner === authority.uid);
  const named = own.find(({ name }) => name === wanted);
  const outcome = world.outcome(authority, namespace, wanted);
  const isForeign = named === undefined && (outcome?.state === 'foreign' || found.some(({ name }) => name === wanted));
  const place = (name: string, record: TrustRecord | undefined): TrustTarget => ({
    kind,
    namespace,
    name,
    ...(record?.bundle === undefined ? {} : { bundle: record.bundle }),
    changedAtMs: record?.changedAtMs ?? Number.POSITIVE_INFINITY,
    isForeign: isForeign && name === wanted,
    wasNeverThere: record === undefined && outcome?.state === 'failed' && !world.isLost(authority, namespace, name),
    isSurplus: name !== wanted,
    isDeleting: record?.deleting === true,
    ...(outcome === undefined ? {} : { outcome }),
  });
  const surplus = own.filter(({ name }) => name !== wanted);
  return [place(wanted, named), ...surplus.map((record) => place(record.name, record))];
}

/**
 * The places that a rotation waits for. What somebody else has is not the operator's to change. What never was published
 * has no reader: one namespace that refuses it does not stop the rotation of all others. An object under a former name has
 * had its end: a client that holds it with a finalizer does not hold the rotation.
 */
export const publicationsOf = (places: readonly TrustTarget[]): Publication[] =>
  places
    .filter(({ isForeign, wasNeverThere }) => !isForeign && !wasNeverThere)
    .filter(({ isSurplus, isDeleting }) => !(isSurplus && isDeleting))
    .map(({ kind, namespace, name, bundle, changedAtMs, ...place }) => ({
      namespace,
      displayName: `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`,
      ...(bundle === undefined ? {} : { bundle }),
      changedAtMs,
      ...(kind === 'ClusterTrustBundle' ? { isClusterTrustBundle: true as const } : {}),
      ...reasonOf(place),
    }));

/** Why an object may never be as a phase of a rotation needs it. */
function reasonOf({ isDeleting, outcome }: Pick<TrustTarget, 'isDeleting' | 'outcome'>): { readonly detail?: string } {
  if (isDeleting) return { detail: heldByFinalizer };
  const message = outcome !== undefined && 'message' in outcome ? outcome.message : undefined;
  return message === undefined ? {} : { detail: message.slice(0, longestReason) };
}

/** Of a message of the API server, which names the object as well. */
const longestReason = 200;
