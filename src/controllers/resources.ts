import { annotations, group, version } from '../api/names.ts';
import type { MtlsAuthority, MtlsCertificate } from '../api/types.ts';
import { defineResource, type KubeObject, type Namespace, type ObjectMeta, type Served } from '../kube/index.ts';
import type { AuthorityRecord, CertificateRecord, NamespaceRecord } from '../plan/index.ts';

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

/** Tokens are short by nature. One that is not would be copied onto every Secret and into status, and is passed over. */
const longestToken = 1024;

/** The token that an annotation asks with; undefined when there is no request. */
function tokenIn({ annotations: all }: ObjectMeta, annotation: string): string | undefined {
  const token = all?.[annotation] ?? '';
  return token === '' || token.length > longestToken ? undefined : token;
}

/** What the cache keeps of an MtlsCertificate. */
export function certificateRecord({ metadata, spec, status }: Of<MtlsCertificate>): CertificateRecord {
  const rotateToken = tokenIn(metadata, annotations.rotate);
  const revokeToken = tokenIn(metadata, annotations.revoke);
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    creationTimestamp: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    ...(rotateToken === undefined ? {} : { rotateToken }),
    ...(revokeToken === undefined ? {} : { revokeToken }),
    spec,
    status: status ?? {},
  };
}

/** What the cache keeps of an MtlsAuthority. */
export function authorityRecord({ metadata, spec, status }: Of<MtlsAuthority>): AuthorityRecord {
  const [rotateRootToken, approveToken, abortToken] = [
    tokenIn(metadata, annotations.rotateRoot),
    tokenIn(metadata, annotations.approveRotation),
    tokenIn(metadata, annotations.abortRotation),
  ];
  return {
    namespace: '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    ...(rotateRootToken === undefined ? {} : { rotateRootToken }),
    ...(approveToken === undefined ? {} : { approveToken }),
    ...(abortToken === undefined ? {} : { abortToken }),
    spec,
    status: status ?? {},
  };
}

/** What the cache keeps of a Namespace, of which its metadata is read alone. */
export const namespaceRecord = ({ metadata }: Served<Namespace>): NamespaceRecord => ({
  name: metadata.name,
  resourceVersion: metadata.resourceVersion,
  labels: metadata.labels ?? {},
  terminating: metadata.deletionTimestamp !== undefined,
});
