import { apiVersion, group, labels, managerName, secretKeys } from '../api/names.ts';
import {
  type ClusterTrustBundle,
  type ConfigMap,
  clusterTrustBundles,
  configMaps,
  type KubeObject,
  type MergePatch,
  type ObjectMeta,
  type Resource,
} from '../kube/index.ts';
import { sha256Hex } from '../pki/index.ts';
import { type AuthorityRecord, authorityLabel, signerNameOf, type TrustRecord } from '../plan/index.ts';

/** The label selector of what the operator publishes. */
export const trustSelector = `${labels.managedBy}=${managerName},${labels.authority}`;

/** How one kind holds a bundle. */
export interface TrustKind<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** A new object with these metadata. */
  readonly create: (metadata: ObjectMeta, authority: string, pem: string) => T;
  /** What puts another bundle into an object, and leaves alone whatever else is in it. */
  readonly change: (metadata: MergePatch<ObjectMeta>, pem: string) => MergePatch<T>;
  /** What is remembered of an object; since when it is as it is, the cache has to say. */
  readonly toRecord: (object: T) => TrustRecord;
}

/** In the key ca.crt of a ConfigMap. */
export const inConfigMap: TrustKind<ConfigMap> = {
  resource: configMaps,
  create: (metadata, _, pem) => ({ metadata, data: { [secretKeys.bundle]: pem } }),
  change: (metadata, pem) => ({
    metadata,
    data: { [secretKeys.bundle]: pem },
    // A key that is in both is refused.
    binaryData: { [secretKeys.bundle]: null },
  }),
  toRecord: (object) => trustRecord(object, object.data?.[secretKeys.bundle], object.immutable === true),
};

/** In a ClusterTrustBundle, for the authority's signer. */
export const inClusterTrustBundle: TrustKind<ClusterTrustBundle> = {
  resource: clusterTrustBundles,
  create: (metadata, authority, trustBundle) => ({
    metadata,
    spec: { signerName: signerNameOf(authority), trustBundle },
  }),
  change: (metadata, trustBundle) => ({ metadata, spec: { trustBundle } }),
  toRecord: (object) => trustRecord(object, object.spec.trustBundle, false),
};

function trustRecord({ metadata }: KubeObject, pem: string | undefined, immutable: boolean): TrustRecord {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  const isAuthority = owner?.kind === 'MtlsAuthority' && owner.apiVersion.startsWith(`${group}/`);
  const label = metadata.labels?.[labels.managedBy] === managerName ? metadata.labels[labels.authority] : undefined;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    ...(owner === undefined ? {} : { owner: owner.uid }),
    ...(isAuthority ? { ownerName: owner.name } : {}),
    ...(label === undefined ? {} : { label }),
    ...(pem === undefined ? {} : { bundle: sha256Hex(pem) }),
    immutable,
    deleting: metadata.deletionTimestamp !== undefined,
    changedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** The labels of what is published for an authority. */
export const trustLabels = ({ name }: AuthorityRecord): Record<string, string> => ({
  [labels.managedBy]: managerName,
  [labels.authority]: authorityLabel(name),
});

/** The ownerReference by which what is published belongs to its authority, and is removed with it. */
export const authorityReference = ({ name, uid }: AuthorityRecord) => ({
  apiVersion,
  kind: 'MtlsAuthority',
  name,
  uid,
  controller: true,
});
