import { group } from '../../api/constants.ts';
import { isObjectName } from '../../api/object-name.ts';
import { isSelected } from '../policy/grant.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { ContentWrite } from '../records/field-manager.ts';
import type { KnownNamespace } from '../records/namespace-record.ts';
import type { TrustContent } from './trust-content.ts';

/** A ConfigMap or ClusterTrustBundle that holds a published bundle or has the name of one. */
export interface TrustRecord {
  /** Empty for a ClusterTrustBundle. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly owner?: string;
  /** Name of that MtlsAuthority. */
  readonly ownerName?: string;
  /** The labels and annotations that the operator manages, see trustMetadataDigest. Absent for an object of another owner. */
  readonly metadata?: string;
  /** The annotation `template`, see keptTemplate. */
  readonly template?: string;
  /** The key of the truststore that the operator wrote. */
  readonly truststoreKey?: string;
  /**
   * SHA-256 of the bundle's PEM, lower-case hex. Absent when there is none, when the truststore was changed, and when no
   * MtlsAuthority controls the object.
   */
  readonly bundle?: string;
  /** SHA-256 of the CRLs. */
  readonly crl?: string;
  /** An immutable object cannot be updated, and kubelet no longer reads its changes. */
  readonly immutable: boolean;
  readonly deleting: boolean;
  /** When `bundle` last changed, in milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
  /** The write of that change. Later if the operator has restarted since. */
  readonly written?: ContentWrite;
}

/**
 * Everything that the plan of one target depends on. A target is a namespace for ConfigMaps, or the cluster for the
 * ClusterTrustBundle.
 */
export interface ObservedTrust {
  readonly authority: Pick<AuthorityRecord, 'name' | 'uid' | 'deleting' | 'specProblem'>;
  /** What an object should hold. Absent while the root may not sign or has not been read yet. */
  readonly content?: TrustContent;
  /** The name of the object that spec requests here. Absent when it requests none. */
  readonly desiredName?: string;
  /**
   * The objects of this target that the authority controls, and the object with the desired name, even if another owner
   * controls it.
   */
  readonly existing: readonly TrustRecord[];
}

/** The step for one object. */
export type TrustStep =
  | { readonly step: 'keep' }
  | { readonly step: 'create'; readonly name: string }
  | { readonly step: 'update' | 'replace' | 'delete'; readonly record: TrustRecord }
  /** The object with the desired name belongs to another owner. It stays unchanged. */
  | { readonly step: 'conflict'; readonly record: TrustRecord };

/** A step that writes. */
export type TrustWrite = Exclude<TrustStep, { step: 'keep' | 'conflict' }>;

/**
 * Plans the steps for one target, without `keep`. A rename takes several rounds: pods may mount the object with the old
 * name, so it is kept up to date until the new one holds the bundle, and then deleted.
 */
export function planTrust(observed: ObservedTrust): ReadonlyArray<Exclude<TrustStep, { step: 'keep' }>> {
  const { authority, content, desiredName, existing } = observed;
  // The garbage collector deletes the objects with their owner.
  if (authority.deleting) return [];
  // The desired targets are unknown, so published objects stay.
  if (authority.specProblem !== undefined) return [];
  const own = existing.filter(({ owner, deleting }) => owner === authority.uid && !deleting);
  if (desiredName === undefined) return own.map((record) => ({ step: 'delete', record }));
  // Without a bundle there is nothing to publish, not even under a new name.
  if (content === undefined) return [];
  const named = existing.find(({ name }) => name === desiredName);
  const first = planCopy(authority, desiredName, content, named);
  const isInPlace = first.step === 'keep' && named?.deleting === false;
  const others = own
    .filter(({ name }) => name !== desiredName)
    .map(
      (record): TrustStep =>
        isInPlace ? { step: 'delete', record } : planCopy(authority, record.name, content, record),
    );
  return [first, ...others].filter((step) => step.step !== 'keep');
}

function planCopy(
  { uid }: ObservedTrust['authority'],
  name: string,
  content: TrustContent,
  record: TrustRecord | undefined,
): TrustStep {
  if (record === undefined) return { step: 'create', name };
  if (record.owner !== uid) return { step: 'conflict', record };
  // The operator also updates an object that is being deleted: pods can read it until its last finalizer is removed. It
  // cannot update an immutable object, and cannot create the replacement before the old object is gone.
  if (record.immutable) return record.deleting ? { step: 'keep' } : { step: 'replace', record };
  return isUpToDate(record, content) ? { step: 'keep' } : { step: 'update', record };
}

const isUpToDate = ({ bundle, crl, metadata }: TrustRecord, content: TrustContent): boolean =>
  bundle === content.bundle.digest && crl === content.crl?.digest && metadata === content.metadata;

/**
 * The name of the ConfigMap that spec requests in a namespace. Undefined when it requests none there.
 * @param isPublished whether the namespace holds a bundle of the authority. While the labels of the namespace are unknown, the
 * operator keeps that bundle up to date, and publishes a new one only for a selector that selects every namespace.
 */
export function configMapIn(
  { spec }: AuthorityRecord,
  { labels, terminating }: KnownNamespace,
  isPublished = false,
): string | undefined {
  const { configMap } = spec.trustBundle ?? {};
  if (configMap === undefined || terminating) return undefined;
  const isWanted = isSelected(configMap.namespaceSelector ?? {}, labels) || (labels === undefined && isPublished);
  return isWanted ? configMap.name : undefined;
}

const signerPrefix = `${group}/`;

/** The signer name of an authority, for its ClusterTrustBundle and its certificates for pods. */
export const signerNameOf = (authority: string): string => signerPrefix + authority;

/** The name of the authority that a signer name may stand for. Undefined for the name of another signer. */
export function authorityOfSigner(signerName: string | undefined): string | undefined {
  if (signerName?.startsWith(signerPrefix) !== true) return undefined;
  const name = signerName.slice(signerPrefix.length);
  return isObjectName(name) ? name : undefined;
}

/**
 * The name of an authority's ClusterTrustBundle. It must begin with the signer name, with a colon instead of the slash.
 */
export const clusterTrustBundleOf = (authority: string): string => `${group}:${authority}:roots`;
