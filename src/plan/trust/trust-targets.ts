import type { AuthorityRecord } from '../records/authority-record.ts';
import type { ContentWrite } from '../records/field-manager.ts';
import type { KnownNamespace } from '../records/namespace-record.ts';
import { heldByFinalizer, type Publication } from '../rotation/rollout-observation.ts';
import { clusterTrustBundleOf, configMapIn, type TrustRecord } from './trust-plan.ts';

/** The outcome of the last reconcile of a target. */
export type TrustOutcome = { readonly desiredName?: string } & (
  | { readonly state: 'settled' }
  | { readonly state: 'foreign' }
  /** Another client keeps changing the object, so the operator delays its repairs. */
  | { readonly state: 'contested'; readonly message: string }
  | { readonly state: 'failed'; readonly message: string }
);

/** The sources of the targets and their content. */
export interface TrustSources {
  readonly namespaces: Iterable<KnownNamespace>;
  /** Whether the API server serves ClusterTrustBundles. Undefined until that is known. */
  readonly servesClusterTrustBundles: boolean | undefined;
  /** See ObservedTrust.existing. The namespace is empty for the cluster. */
  readonly existing: (authority: AuthorityRecord, namespace: string, desiredName: string) => readonly TrustRecord[];
  /** True when an object of the authority was deleted and has not been created again. Pods may have mounted it. */
  readonly wasDeleted: (authority: AuthorityRecord, namespace: string, name: string) => boolean;
  readonly outcome: (authority: AuthorityRecord, namespace: string, desiredName: string) => TrustOutcome | undefined;
}

/** One object that should hold the bundle now. */
export interface TrustTarget {
  readonly kind: 'ConfigMap' | 'ClusterTrustBundle';
  readonly namespace: string;
  readonly name: string;
  /** Digest of its bundle. Absent when there is none, or when the authority does not control the object. */
  readonly bundle?: string;
  /** See TrustRecord.metadata. */
  readonly metadata?: string;
  /** The key of the truststore that spec requests and that the object does not hold. */
  readonly lacks?: string;
  /**
   * When the bundle last changed, in milliseconds of the clock of RolloutObservation. Infinity while there is no
   * object.
   */
  readonly changedAtMs: number;
  /** See TrustRecord.written. */
  readonly written?: ContentWrite;
  /** An object of another owner has the name of the target. */
  readonly isForeign: boolean;
  /** The object does not exist, because the API server refused to create it. No pod can have read it. */
  readonly neverExisted: boolean;
  /** The object has a former name, and stays until the bundle is published under the new one. */
  readonly isSurplus: boolean;
  /** The object is being deleted, and a finalizer holds it. */
  readonly isDeleting: boolean;
  readonly outcome?: TrustOutcome;
}

/**
 * The namespaces that spec may select and that get no bundle, because the operator may not read their labels or their
 * ConfigMaps.
 */
export const unreadableNamespaces = (authority: AuthorityRecord, sources: TrustSources): KnownNamespace[] =>
  [...sources.namespaces]
    .filter((namespace) => configMapIn(authority, namespace, true) !== undefined)
    .filter(
      (namespace) =>
        namespace.configMapsForbidden === true ||
        configMapIn(authority, namespace, isPublishedIn(authority, namespace, sources)) === undefined,
    );

/** Whether a namespace holds a bundle of the authority. Only the decision about a namespace without labels depends on it. */
const isPublishedIn = (authority: AuthorityRecord, { name, labels }: KnownNamespace, sources: TrustSources): boolean =>
  labels === undefined && sources.existing(authority, name, '').some(({ owner }) => owner === authority.uid);

/**
 * All targets of the bundle that spec selects, including objects of other owners. It leaves out namespaces that are
 * being deleted, and the ClusterTrustBundle in a cluster that does not serve them.
 */
export function trustTargets(authority: AuthorityRecord, sources: TrustSources): TrustTarget[] {
  const targets: TrustTarget[] = [];
  for (const namespace of sources.namespaces) {
    if (namespace.configMapsForbidden === true) continue;
    const desiredName = configMapIn(authority, namespace, isPublishedIn(authority, namespace, sources));
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
  const truststoreKey = kind === 'ConfigMap' ? authority.spec.trustBundle?.configMap?.truststore?.key : undefined;
  const target = (name: string, record: TrustRecord | undefined): TrustTarget => ({
    kind,
    namespace,
    name,
    ...(record?.bundle === undefined ? {} : { bundle: record.bundle }),
    ...(record?.metadata === undefined ? {} : { metadata: record.metadata }),
    ...(truststoreKey === undefined || record?.truststoreKey === truststoreKey ? {} : { lacks: truststoreKey }),
    changedAtMs: record?.changedAtMs ?? Number.POSITIVE_INFINITY,
    ...(record?.written === undefined ? {} : { written: record.written }),
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
 * The targets that a rotation waits for. It leaves out three kinds. The operator may not change an object of another
 * owner. An object that never existed has no reader, so a namespace that refuses it does not stop the rotation of all
 * others. An object with a former name that is being deleted has been replaced, so a finalizer on it does not delay the
 * rotation. An object without the requested truststore holds no bundle for the programs that read it.
 */
export const publicationsOf = (targets: readonly TrustTarget[]): Publication[] =>
  targets
    .filter(({ isForeign, neverExisted: wasNeverThere }) => !isForeign && !wasNeverThere)
    .filter(({ isSurplus, isDeleting }) => !(isSurplus && isDeleting))
    .map(({ kind, namespace, name, bundle, changedAtMs, written, lacks, ...target }) => ({
      namespace,
      displayName: `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`,
      ...(bundle === undefined || lacks !== undefined ? {} : { bundle }),
      changedAtMs,
      ...(written === undefined ? {} : { written }),
      ...(kind === 'ClusterTrustBundle' ? { isClusterTrustBundle: true as const } : {}),
      ...reasonOf({ ...target, ...(bundle === undefined || lacks === undefined ? {} : { lacks }) }),
    }));

/** Why an object may never meet the gate of a rotation, for messages. */
function reasonOf({ isDeleting, outcome, lacks }: Pick<TrustTarget, 'isDeleting' | 'outcome' | 'lacks'>): {
  readonly detail?: string;
} {
  if (isDeleting) return { detail: heldByFinalizer };
  const message = outcomeMessage(outcome);
  if (message !== undefined) return { detail: message.slice(0, longestDetail) };
  return lacks === undefined ? {} : { detail: `it has no ${lacks}; see the condition TrustPublished` };
}

/** Why the last write did not lead to the planned state. Undefined when it did. */
export const outcomeMessage = (outcome: TrustOutcome | undefined): string | undefined =>
  outcome !== undefined && 'message' in outcome ? outcome.message : undefined;

/** Limits the API server's message in the detail of a publication, which may be long. */
export const longestDetail = 200;
