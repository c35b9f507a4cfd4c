import { annotations, group, version } from '../../api/constants.ts';
import { fittingFields, fittingPart, misfit, type Schema, schemas } from '../../api/schema.ts';
import type {
  Condition,
  IssuedSecret,
  MtlsAuthority,
  MtlsAuthoritySpec,
  MtlsCertificate,
  MtlsCertificateSpec,
  MtlsCertificateStatus,
} from '../../api/types.ts';
import { defineResource, type KubeObject, type Namespace, type ObjectMeta, type Served } from '../../kube/index.ts';
import type { AuthorityRecord, CertificateRecord, NamespaceRecord } from '../../plan/index.ts';
import { internPool } from './intern-pool.ts';
import { withNewNames } from './renamed-status-fields.ts';

type Of<Kind> = Kind & KubeObject & { readonly metadata: ObjectMeta };

export const certificates = defineResource<Of<MtlsCertificate>>({
  group,
  version,
  plural: 'mtlscertificates',
  kind: 'MtlsCertificate',
  namespaced: true,
});

export const authorities = defineResource<Of<MtlsAuthority>>({
  group,
  version,
  plural: 'mtlsauthorities',
  kind: 'MtlsAuthority',
  namespaced: false,
});

/** Longer tokens are ignored: the operator would copy them into status and onto every Secret. */
const longestToken = 1024;

/** The token in an annotation; undefined when there is no request. */
function tokenIn({ annotations: all }: ObjectMeta, annotation: string): string | undefined {
  const token = all?.[annotation] ?? '';
  return token === '' || token.length > longestToken ? undefined : token;
}

/**
 * Why a spec cannot be read, for the resource's condition. A stored resource may be older than its schema, and the API server
 * serves it unchanged. Without this check, one field of the wrong type would stop the list of all resources.
 */
function specProblemOf(schema: Schema, spec: unknown): string | undefined {
  const path = misfit(schema, spec, 'spec');
  return path === undefined
    ? undefined
    : `${path} does not match the schema of the CRD; correct it and apply the resource again`;
}

/** Limit of a spec in characters of JSON. The schema of today admits no larger spec. */
const largestSpec = 64 * 1024;

/** As specProblemOf, with a limit of size: any user can create MtlsCertificates, and the cache keeps their specs. */
function certificateSpecProblemOf(spec: unknown): string | undefined {
  const size = JSON.stringify(spec)?.length ?? 0;
  return size <= largestSpec
    ? specProblemOf(schemas.MtlsCertificate.spec, spec)
    : `spec is ${Math.ceil(size / 1024)} KB of JSON, and the limit is 64 KB; remove names or entries of secretTemplate`;
}

const requestsNothing: MtlsCertificateSpec = {
  authorityRef: { name: '' },
  duration: '',
  privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
  deletionPolicy: 'Delete',
};

const signsNothing: MtlsAuthoritySpec = {
  // No Secret can have this name.
  secretName: '-',
  trustDomain: '',
  clusterDomain: '',
  rotation: { approval: 'Manual', propagationDelay: '1h', clusterTrustBundleDelay: '1h', reissuesPerSecond: 1 },
};

/** The cached record of an MtlsCertificate. */
export function certificateRecord({ metadata, spec: served, status }: Of<MtlsCertificate>): CertificateRecord {
  const rotateToken = tokenIn(metadata, annotations.rotate);
  const revokeToken = tokenIn(metadata, annotations.revoke);
  const retryToken = tokenIn(metadata, annotations.retry);
  const spec = withDeletionPolicy(served);
  const specProblem = certificateSpecProblemOf(spec);
  const renamed = withNewNames(status);
  return {
    namespace: internPool.text(metadata.namespace ?? ''),
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    creationTimestamp: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    ...(rotateToken === undefined ? {} : { rotateToken }),
    ...(revokeToken === undefined ? {} : { revokeToken }),
    ...(retryToken === undefined ? {} : { retryToken }),
    ...(specProblem === undefined ? { spec: sharingSpec(spec) } : { specProblem, spec: requestsNothing }),
    ...(renamed === status ? {} : { hasOldNames: true }),
    status: sharingStatus(fittingPart(schemas.MtlsCertificate.status, renamed) ?? {}),
  };
}

/** Adds the default of `deletionPolicy`: during an upgrade the API server may still serve the CRD without this field. */
const withDeletionPolicy = (spec: MtlsCertificateSpec): MtlsCertificateSpec =>
  typeof spec === 'object' && !Array.isArray(spec) && spec !== null && !Object.hasOwn(spec, 'deletionPolicy')
    ? { ...spec, deletionPolicy: 'Delete' }
    : spec;

/** A spec that shares equal parts with other specs, see InternPool. */
function sharingSpec(spec: MtlsCertificateSpec): MtlsCertificateSpec {
  const { subject, outputs, secretTemplate } = spec;
  return {
    ...spec,
    duration: internPool.text(spec.duration),
    authorityRef: internPool.value(spec.authorityRef),
    privateKey: internPool.value(spec.privateKey),
    ...(subject && { subject: internPool.value(subject) }),
    ...(outputs && { outputs: internPool.value(outputs) }),
    ...(secretTemplate && { secretTemplate: internPool.value(secretTemplate) }),
  };
}

/** A status that shares equal parts with other statuses. */
const sharingStatus = (status: MtlsCertificateStatus): MtlsCertificateStatus => ({
  ...status,
  ...(status.conditions && { conditions: status.conditions.map(sharingCondition) }),
  ...(status.secrets && { secrets: status.secrets.map(sharingSecret) }),
});

const sharingCondition = (condition: Condition): Condition => ({
  ...condition,
  reason: internPool.text(condition.reason),
  // The messages of True conditions differ for each resource.
  message: condition.status === 'True' ? condition.message : internPool.text(condition.message),
});

const sharingSecret = (entry: IssuedSecret): IssuedSecret => ({
  ...sharingIssuer(entry),
  ...(entry.replaced && { replaced: entry.replaced.map(sharingIssuer) }),
});

/** Hundreds of replaced certificates have few issuers, and many share one notAfter. */
const sharingIssuer = <T extends Pick<IssuedSecret, 'rootFingerprint' | 'issuerId' | 'notAfter'>>(entry: T): T => ({
  ...entry,
  rootFingerprint: internPool.text(entry.rootFingerprint),
  ...(entry.issuerId === undefined ? {} : { issuerId: internPool.text(entry.issuerId) }),
  notAfter: internPool.text(entry.notAfter),
});

/** The cached record of an MtlsAuthority. */
export function authorityRecord({ metadata, spec, status }: Of<MtlsAuthority>): AuthorityRecord {
  const [rotateRootToken, approveToken, skipToken, abortToken] = [
    tokenIn(metadata, annotations.rotateRoot),
    tokenIn(metadata, annotations.approveRotation),
    tokenIn(metadata, annotations.skipGate),
    tokenIn(metadata, annotations.abortRotation),
  ];
  const specProblem = specProblemOf(schemas.MtlsAuthority.spec, spec);
  const readable = { ...signsNothing, ...fittingFields(schemas.MtlsAuthority.spec, spec) };
  return {
    namespace: '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    ...(rotateRootToken === undefined ? {} : { rotateRootToken }),
    ...(approveToken === undefined ? {} : { approveToken }),
    ...(skipToken === undefined ? {} : { skipToken }),
    ...(abortToken === undefined ? {} : { abortToken }),
    ...(specProblem === undefined ? { spec } : { specProblem, spec: readable }),
    status: fittingPart(schemas.MtlsAuthority.status, status) ?? {},
  };
}

/** The cached record of a Namespace, from its metadata only. */
export const namespaceRecord = ({ metadata }: Served<Namespace>): NamespaceRecord => ({
  name: metadata.name,
  resourceVersion: metadata.resourceVersion,
  labels: metadata.labels ?? {},
  terminating: metadata.deletionTimestamp !== undefined,
});
