import { crlKey, labels, managerName, secretKeys } from '../../api/constants.ts';
import {
  type ClusterTrustBundle,
  type ConfigMap,
  clusterTrustBundles,
  configMaps,
  type GuardedPatch,
  type KubeObject,
  type ObjectMeta,
  type Resource,
} from '../../kube/index.ts';
import { sha256Hex } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  authorityLabel,
  controllerOf,
  isOfKind,
  signerNameOf,
  type TrustRecord,
} from '../../plan/index.ts';

/** The label selector of the bundles that the operator publishes. */
export const trustSelector = `${labels.managedBy}=${managerName},${labels.authority}`;

/** The published content in PEM: the roots, and the CRLs if there are any. */
export interface TrustContent {
  readonly bundle: string;
  readonly crl?: string;
}

/** How objects of one kind hold a bundle. */
export interface TrustKind<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** Whether objects of this kind can hold CRLs. */
  readonly holdsCrls: boolean;
  /** Builds a new object. */
  readonly create: (metadata: ObjectMeta, authority: string, content: TrustContent) => T;
  /** A patch that replaces the content of an object and leaves its other fields unchanged. */
  readonly change: (metadata: GuardedPatch<KubeObject>['metadata'], content: TrustContent) => GuardedPatch<T>;
  /** The record of an object. TrustCache sets its change time. */
  readonly toRecord: (object: T) => TrustRecord;
}

/** A bundle in the keys `ca.crt` and `ca.crl` of a ConfigMap. */
export const inConfigMap: TrustKind<ConfigMap> = {
  resource: configMaps,
  holdsCrls: true,
  create: (metadata, _, { bundle, crl }) => ({
    metadata,
    data: { [secretKeys.bundle]: bundle, ...(crl === undefined ? {} : { [crlKey]: crl }) },
  }),
  change: (metadata, { bundle, crl }) => ({
    metadata,
    data: { [secretKeys.bundle]: bundle, [crlKey]: crl ?? null },
    // The API server refuses a key that is in both data and binaryData.
    binaryData: { [secretKeys.bundle]: null, [crlKey]: null },
  }),
  toRecord: (object) =>
    trustRecord(
      object,
      { bundle: object.data?.[secretKeys.bundle], crl: object.data?.[crlKey] },
      object.immutable === true,
    ),
};

/** A bundle in a ClusterTrustBundle of the authority's signer name. */
export const inClusterTrustBundle: TrustKind<ClusterTrustBundle> = {
  resource: clusterTrustBundles,
  holdsCrls: false,
  create: (metadata, authority, { bundle: trustBundle }) => ({
    metadata,
    spec: { signerName: signerNameOf(authority), trustBundle },
  }),
  change: (metadata, { bundle: trustBundle }) => ({ metadata, spec: { trustBundle } }),
  toRecord: (object) =>
    trustRecord(object, { bundle: object.isPartial === true ? undefined : object.spec.trustBundle }, false),
};

/** The MtlsAuthority that an object names as its controller, whether or not it exists. */
export function authorityOf({ ownerReferences }: ObjectMeta): { name: string; uid: string } | undefined {
  const owner = controllerOf(ownerReferences);
  return owner !== undefined && isOfKind(owner, 'MtlsAuthority') ? owner : undefined;
}

/** The record of an object that no authority controls, from its metadata. */
export const foreignRecord = (object: KubeObject): TrustRecord => trustRecord(object, {}, false);

/** A record of bounded size. For an object that no authority controls it records only that the name is taken. */
function trustRecord(
  { metadata }: KubeObject,
  { bundle, crl }: { readonly bundle?: string | undefined; readonly crl?: string | undefined },
  immutable: boolean,
): TrustRecord {
  const owner = authorityOf(metadata);
  const label = metadata.labels?.[labels.managedBy] === managerName ? metadata.labels[labels.authority] : undefined;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    ...(owner === undefined ? {} : { owner: owner.uid, ownerName: owner.name }),
    ...(label === undefined ? {} : { label }),
    ...(owner === undefined || bundle === undefined ? {} : { bundle: sha256Hex(bundle) }),
    ...(owner === undefined || crl === undefined ? {} : { crl: sha256Hex(crl) }),
    immutable,
    deleting: metadata.deletionTimestamp !== undefined,
    changedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** The labels of the published bundles of an authority. */
export const trustLabels = ({ name }: AuthorityRecord): Record<string, string> => ({
  [labels.managedBy]: managerName,
  [labels.authority]: authorityLabel(name),
});
