import { group } from '../../api/constants.ts';
import { sha256Hex } from '../../pki/index.ts';
import { selects } from '../policy/label-selector.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { NamespaceRecord } from '../records/namespace-record.ts';

/** What is known of an object that holds a published bundle, or has the name of one: a ConfigMap or ClusterTrustBundle. */
export interface TrustRecord {
  /** Empty for a ClusterTrustBundle. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** UID of the MtlsAuthority that controls it by ownerReference. */
  readonly owner?: string;
  /** Its name. */
  readonly ownerName?: string;
  /** Its label `authority`, provided that its label `managed-by` names the operator. */
  readonly label?: string;
  /** SHA-256 of the PEM in it, lower-case hex; absent when there is no PEM, and when no MtlsAuthority controls it. */
  readonly bundle?: string;
  /** The same of the CRLs. */
  readonly crl?: string;
  /** Its data cannot be written any more, and kubelet has ceased to look for changes. */
  readonly immutable: boolean;
  readonly deleting: boolean;
  /** Since when `bundle` is as it is, in milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
}

/** All that a decision about one target rests on: a namespace for ConfigMaps, the cluster for the ClusterTrustBundle. */
export interface ObservedTrust {
  readonly authority: Pick<AuthorityRecord, 'name' | 'uid' | 'deleting' | 'specProblem'>;
  /** Digest of the bundle to publish; absent while the root is bad or was not read yet. */
  readonly bundle?: string;
  /** Digest of the CRLs to publish with it; absent when there are none, or the target holds none. */
  readonly crl?: string;
  /** Under which name spec wants the bundle here; absent when it does not. */
  readonly desiredName?: string;
  /** The objects of this target that the authority controls, and the object with the desired name, whoever controls it. */
  readonly existing: readonly TrustRecord[];
}

/** What is to be done about one object. */
export type TrustStep =
  | { readonly step: 'keep' }
  | { readonly step: 'create'; readonly name: string }
  | { readonly step: 'update' | 'replace' | 'delete'; readonly record: TrustRecord }
  /** Somebody else's object has the name; it is left as it is. */
  | { readonly step: 'conflict'; readonly record: TrustRecord };

/** A step that writes. */
export type TrustWrite = Exclude<TrustStep, { step: 'keep' | 'conflict' }>;

/**
 * What is to be done in one target, without what is to be kept. It may take more than one round: what has an old name goes
 * when the bundle is there under the new one, and until then is kept up to date, since somebody mounts it.
 */
export function planTrust(observed: ObservedTrust): ReadonlyArray<Exclude<TrustStep, { step: 'keep' }>> {
  const { authority, bundle, crl, desiredName, existing } = observed;
  // Garbage collection removes all of it with its owner.
  if (authority.deleting) return [];
  // Nobody knows what it wants: what is published stays.
  if (authority.specProblem !== undefined) return [];
  const own = existing.filter(({ owner, deleting }) => owner === authority.uid && !deleting);
  if (desiredName === undefined) return own.map((record) => ({ step: 'delete', record }));
  // A bad root changes nothing, not even from one name to another: there is nothing to put under the new one.
  if (bundle === undefined) return [];
  const named = existing.find(({ name }) => name === desiredName);
  const first = planCopy(authority, desiredName, { bundle, crl }, named);
  const isInPlace = first.step === 'keep' && named?.deleting === false;
  const others = own
    .filter(({ name }) => name !== desiredName)
    .map(
      (record): TrustStep =>
        isInPlace ? { step: 'delete', record } : planCopy(authority, record.name, { bundle, crl }, record),
    );
  return [first, ...others].filter((step) => step.step !== 'keep');
}

function planCopy(
  { name: authority, uid }: ObservedTrust['authority'],
  name: string,
  { bundle, crl }: { readonly bundle: string; readonly crl: string | undefined },
  record: TrustRecord | undefined,
): TrustStep {
  if (record === undefined) return { step: 'create', name };
  if (record.owner !== uid) return { step: 'conflict', record };
  // Pods read an object for as long as a finalizer holds it: it is kept up to date until it is gone. An immutable one
  // cannot be, and its name is not free before.
  if (record.immutable) return record.deleting ? { step: 'keep' } : { step: 'replace', record };
  const isRight = record.bundle === bundle && record.crl === crl && record.label === authorityLabel(authority);
  return isRight ? { step: 'keep' } : { step: 'update', record };
}

/** The name of the ConfigMap that spec wants in a namespace; undefined when it wants none there. */
export function configMapIn({ spec }: AuthorityRecord, { labels, terminating }: NamespaceRecord): string | undefined {
  const { configMap } = spec.trustBundle ?? {};
  const isWanted = configMap !== undefined && !terminating && selects(configMap.namespaceSelector, labels);
  return isWanted ? configMap.name : undefined;
}

/** The signer name of an authority's ClusterTrustBundle. */
export const signerNameOf = (authority: string): string => `${group}/${authority}`;

/** The name of an authority's ClusterTrustBundle: it has to begin with the signer name, with a colon for its slash. */
export const clusterTrustBundleOf = (authority: string): string => `${group}:${authority}:roots`;

/** A label's value is at most so long, the name of an authority up to 253. */
const longestLabel = 63;

/** The value of the label `authority` of what is published: the name, or the beginning of a long one and its digest. */
export const authorityLabel = (name: string): string =>
  name.length <= longestLabel ? name : `${name.slice(0, longestLabel - 17)}-${sha256Hex(name).slice(0, 16)}`;
