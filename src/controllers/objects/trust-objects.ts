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

/** The label selector of what the operator publishes. */
export const trustSelector = `${labels.managedBy}=${managerName},${labels.authority}`;

/** What is published, in PEM: the roots, and the CRLs where there are any. */
export interface TrustContent {
  readonly bundle: string;
  readonly crl?: string;
}

/** How one kind holds a bundle. */
export interface TrustKind<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** Whether it has a place for CRLs. */
  readonly holdsCrls: boolean;
  /** A new object with these metadata. */
  readonly create: (metadata: ObjectMeta, authority: string, content: TrustContent) => T;
  /** What puts other content into an object, and leaves alone whatever else is in it. */
  readonly change: (metadata: GuardedPatch<KubeObject>['metadata'], content: TrustContent) => GuardedPatch<T>;
  /** What is remembered of an object; since when it is as it is, the cache has to say. */
  readonly toRecord: (object: T) => TrustRecord;
}

/** In the keys ca.crt and ca.crl of a ConfigMap. */
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
    // A key that is in both is refused.
    binaryData: { [secretKeys.bundle]: null, [crlKey]: null },
  }),
  toRecord: (object) =>
    trustRecord(
      object,
      { bundle: object.data?.[secretKeys.bundle], crl: object.data?.[crlKey] },
      object.immutable === true,
    ),
};

/** In a ClusterTrustBundle, for the authority's signer. */
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

/** What is kept of an object that no authority controls, from its metadata. */
export const foreignRecord = (object: KubeObject): TrustRecord => trustRecord(object, {}, false);

/** What is kept has a fixed bound. Of an object that no authority controls it is only that its name is taken. */
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

/** The labels of what is published for an authority. */
export const trustLabels = ({ name }: AuthorityRecord): Record<string, string> => ({
  [labels.managedBy]: managerName,
  [labels.authority]: authorityLabel(name),
});
