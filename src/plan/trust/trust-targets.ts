import type { AuthorityRecord } from '../records/authority-record.ts';
import type { NamespaceRecord } from '../records/namespace-record.ts';
import { heldByFinalizer, type Publication } from '../rotation/rollout-observation.ts';
import { clusterTrustBundleOf, configMapIn, type TrustRecord } from './trust-plan.ts';

/** The outcome of the last reconcile of a target. */
export type TrustOutcome = { readonly desiredName?: string } & (
  | { readonly state: 'settled' }
  | { readonly state: 'foreign' }
  /** Another client changes the object again and again, so that the operator repairs it after pauses only. */
  | { readonly state: 'contested'; readonly message: string }
  | { readonly state: 'failed'; readonly message: string }
);

/** Where the targets of a bundle, and what is in them, are known from. */
export interface TrustSources {
  readonly namespaces: Iterable<NamespaceRecord>;
  /** Whether the API server has ClusterTrustBundles; undefined until that is known. */
  readonly servesClusterTrustBundles: boolean | undefined;
  /** As ObservedTrust.existing; the namespace is empty for the cluster. */
  readonly existing: (authority: AuthorityRecord, namespace: string, desiredName: string) => readonly TrustRecord[];
  /** True when an object of the authority was deleted, and is not back: pods may have mounted it. */
  readonly wasDeleted: (authority: AuthorityRecord, namespace: string, name: string) => boolean;
  /** The outcome of the last reconcile of a target under that name; undefined before the first. */
  readonly outcome: (authority: AuthorityRecord, namespace: string, desiredName: string) => TrustOutcome | undefined;
}

/** One object that is to hold the bundle now. */
export interface TrustTarget {
  readonly kind: 'ConfigMap' | 'ClusterTrustBundle';
  readonly namespace: string;
  readonly name: string;
  /** Digest of the bundle in it; absent when there is none, or when it is not the authority's. */
  readonly bundle?: string;
  /** Since when it is as it is, in milliseconds of the clock of RolloutObservation; without end while there is none. */
  readonly changedAtMs: number;
  /** Somebody else has the name. */
  readonly isForeign: boolean;
  /** It is not there, and the API server has refused to have it: no pod can have read it. */
  readonly neverExisted: boolean;
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
export function trustTargets(authority: AuthorityRecord, sources: TrustSources): TrustTarget[] {
  const targets: TrustTarget[] = [];
  for (const namespace of sources.namespaces) {
    const desiredName = configMapIn(authority, namespace);
    if (desiredName !== undefined)
      targets.push(...targetsIn(authority, 'ConfigMap', namespace.name, desiredName, sources));
  }
  if (authority.spec.trustBundle?.clusterTrustBundle === true && sources.servesClusterTrustBundles !== false) {
    targets.push(...targetsIn(authority, 'ClusterTrustBundle', '', clusterTrustBundleOf(authority.name), sources));
  }
  return targets;
}

function targetsIn(
  authority: AuthorityRecord,
  kind: TrustTarget['kind'],
  namespace: string,
  desiredName: string,
  sources: TrustSources,
): TrustTarget[] {
  const existing = sources.existing(authority, namespace, desiredName);
  const own = existing.filter(({ owner }) => owner === authority.uid);
  const named = own.find(({ name }) => name === desiredName);
  const outcome = sources.outcome(authority, namespace, desiredName);
  const isForeign =
    named === undefined && (outcome?.state === 'foreign' || existing.some(({ name }) => name === desiredName));
  const target = (name: string, record: TrustRecord | undefined): TrustTarget => ({
    kind,
    namespace,
    name,
    ...(record?.bundle === undefined ? {} : { bundle: record.bundle }),
    changedAtMs: record?.changedAtMs ?? Number.POSITIVE_INFINITY,
    isForeign: isForeign && name === desiredName,
    neverExisted:
      record === undefined && outcome?.state === 'failed' && !sources.wasDeleted(authority, namespace, name),
    isSurplus: name !== desiredName,
    isDeleting: record?.deleting === true,
    ...(outcome === undefined ? {} : { outcome }),
  });
  const surplus = own.filter(({ name }) => name !== desiredName);
  return [target(desiredName, named), ...surplus.map((record) => target(record.name, record))];
}

/**
 * The targets that a rotation waits for. What somebody else has is not the operator's to change. What never was published
 * has no reader: one namespace that refuses it does not stop the rotation of all others. An object under a former name has
 * had its end: a client that holds it with a finalizer does not hold the rotation.
 */
export const publicationsOf = (targets: readonly TrustTarget[]): Publication[] =>
  targets
    .filter(({ isForeign, neverExisted: wasNeverThere }) => !isForeign && !wasNeverThere)
    .filter(({ isSurplus, isDeleting }) => !(isSurplus && isDeleting))
    .map(({ kind, namespace, name, bundle, changedAtMs, ...target }) => ({
      namespace,
      displayName: `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`,
      ...(bundle === undefined ? {} : { bundle }),
      changedAtMs,
      ...(kind === 'ClusterTrustBundle' ? { isClusterTrustBundle: true as const } : {}),
      ...reasonOf(target),
    }));

/** Why an object may never be as a phase of a rotation needs it. */
function reasonOf({ isDeleting, outcome }: Pick<TrustTarget, 'isDeleting' | 'outcome'>): { readonly detail?: string } {
  if (isDeleting) return { detail: heldByFinalizer };
  const message = outcome !== undefined && 'message' in outcome ? outcome.message : undefined;
  return message === undefined ? {} : { detail: message.slice(0, longestReason) };
}

/** Of a message of the API server, which names the object as well. */
const longestReason = 200;
