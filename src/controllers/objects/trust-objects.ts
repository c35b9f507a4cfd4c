import { annotations, crlKey, labels, managerName, secretKeys } from '../../api/constants.ts';
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
  controllerOf,
  isOfKind,
  keptTemplate,
  lastContentWrite,
  type ManagedMetadata,
  parseTruststoreRecord,
  signerNameOf,
  type TrustContent,
  type TrustRecord,
  trustMetadata,
  trustMetadataDigest,
  truststoreDigest,
} from '../../plan/index.ts';
import { internPool } from './intern-pool.ts';

/** The label selector of the bundles that the operator publishes. */
export const trustSelector = `${labels.managedBy}=${managerName},${labels.authority}`;

/** How objects of one kind hold a bundle. */
export interface TrustKind<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** Builds a new object. Its metadata gets the labels and annotations of the content. */
  readonly create: (metadata: ObjectMeta, content: TrustContent) => T;
  /** A patch that replaces the content of an object and leaves its other fields unchanged. */
  readonly change: (record: TrustRecord, content: TrustContent) => GuardedPatch<T>;
  /** The record of an object. TrustCache sets its change time. */
  readonly toRecord: (object: T) => TrustRecord;
}

/** A bundle in the keys `ca.crt` and `ca.crl` of a ConfigMap, and in the key of the truststore. */
export const inConfigMap: TrustKind<ConfigMap> = {
  resource: configMaps,
  create(metadata, content) {
    const { bundle, crl, truststore } = content;
    return {
      metadata: { ...metadata, ...present(trustMetadata(content)) },
      data: { [secretKeys.bundle]: bundle.pem, ...(crl && { [crlKey]: crl.pem }) },
      ...(truststore && { binaryData: { [truststore.key]: truststore.base64 } }),
    };
  },
  change(record, content) {
    const { bundle, crl, truststore } = content;
    const key = truststore?.key;
    const former = record.truststoreKey;
    return {
      metadata: patchedMetadata(record, content),
      // The API server refuses a key that is in both data and binaryData.
      data: { [secretKeys.bundle]: bundle.pem, [crlKey]: crl?.pem ?? null, ...(key && { [key]: null }) },
      binaryData: {
        [secretKeys.bundle]: null,
        [crlKey]: null,
        ...(former && { [former]: null }),
        ...(truststore && { [truststore.key]: truststore.base64 }),
      },
    };
  },
  toRecord(object) {
    const bundle = object.data?.[secretKeys.bundle];
    const written = parseTruststoreRecord(object.metadata.annotations?.[annotations.outputs]);
    const isIntact = written === undefined || written.digest === digestIn(object, written.key);
    return trustRecord(
      object,
      { bundle: isIntact ? bundle : undefined, crl: object.data?.[crlKey], truststoreKey: written?.key },
      object.immutable === true,
    );
  },
};

const digestIn = ({ data, binaryData }: ConfigMap, key: string): string =>
  truststoreDigest(data?.[secretKeys.bundle] ?? '', { key, base64: binaryData?.[key] ?? '' });

/** A bundle in a ClusterTrustBundle of the authority's signer name. */
export const inClusterTrustBundle: TrustKind<ClusterTrustBundle> = {
  resource: clusterTrustBundles,
  create: (metadata, content) => ({
    metadata: { ...metadata, ...present(trustMetadata(content)) },
    spec: { signerName: signerNameOf(content.authority), trustBundle: content.bundle.pem },
  }),
  change: (record, content) => ({
    metadata: patchedMetadata(record, content),
    spec: { trustBundle: content.bundle.pem },
  }),
  toRecord: (object) =>
    trustRecord(object, { bundle: object.isPartial === true ? undefined : object.spec.trustBundle }, false),
};

/** The metadata of a new object. It has no keys to remove, and no empty map of annotations. */
function present({ labels: all, annotations: notes }: ManagedMetadata): Pick<ObjectMeta, 'labels' | 'annotations'> {
  return {
    labels: all as Record<string, string>,
    ...(Object.keys(notes).length === 0 ? {} : { annotations: notes as Record<string, string> }),
  };
}

const patchedMetadata = (record: TrustRecord, content: TrustContent) => ({
  uid: record.uid,
  resourceVersion: record.resourceVersion,
  ...trustMetadata(content, record),
});

/** The MtlsAuthority that an object names as its controller, whether or not it exists. */
export function authorityOf({ ownerReferences }: ObjectMeta): { name: string; uid: string } | undefined {
  const owner = controllerOf(ownerReferences);
  return owner !== undefined && isOfKind(owner, 'MtlsAuthority') ? owner : undefined;
}

/** The record of an object that no authority controls, from its metadata. */
export const foreignRecord = (object: KubeObject): TrustRecord => trustRecord(object, {}, false);

/** The content of an object for its record. */
interface FoundContent {
  readonly bundle?: string | undefined;
  readonly crl?: string | undefined;
  readonly truststoreKey?: string | undefined;
}

/** A record of bounded size. For an object that no authority controls it records only that the name is taken. */
function trustRecord(
  { metadata }: KubeObject,
  { bundle, crl, truststoreKey }: FoundContent,
  immutable: boolean,
): TrustRecord {
  const owner = authorityOf(metadata);
  const template = keptTemplate(metadata.annotations?.[annotations.template]);
  const written = lastContentWrite(metadata, ['data', 'binaryData', 'spec']);
  const ofAuthority = {
    metadata: internPool.text(trustMetadataDigest(metadata)),
    ...(template === undefined ? {} : { template: internPool.text(template) }),
    ...(truststoreKey === undefined ? {} : { truststoreKey: internPool.text(truststoreKey) }),
    ...(bundle === undefined ? {} : { bundle: sha256Hex(bundle) }),
    ...(crl === undefined ? {} : { crl: sha256Hex(crl) }),
  };
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    ...(owner === undefined ? {} : { owner: owner.uid, ownerName: owner.name, ...ofAuthority }),
    immutable,
    deleting: metadata.deletionTimestamp !== undefined,
    changedAtMs: Number.NEGATIVE_INFINITY,
    ...(owner === undefined || written === undefined ? {} : { written }),
  };
}
