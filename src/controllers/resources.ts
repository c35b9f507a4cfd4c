import { annotations, group, version } from '../api/names.ts';
import type { MtlsAuthority, MtlsCertificate } from '../api/types.ts';
import { defineResource, type KubeObject, type ObjectMeta } from '../kube/index.ts';
import type { AuthorityRecord, CertificateRecord } from '../plan/index.ts';

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

/** What the cache keeps of an MtlsCertificate. */
export function certificateRecord({ metadata, spec, status }: Of<MtlsCertificate>): CertificateRecord {
  const token = metadata.annotations?.[annotations.rotate] ?? '';
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    creationTimestamp: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    ...(token === '' || token.length > longestToken ? {} : { rotateToken: token }),
    spec,
    status: status ?? {},
  };
}

/** What the cache keeps of an MtlsAuthority. */
export function authorityRecord({ metadata, spec, status }: Of<MtlsAuthority>): AuthorityRecord {
  return {
    namespace: '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    spec,
    status: status ?? {},
  };
}
