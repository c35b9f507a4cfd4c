import { randomBytes } from 'node:crypto';

/** An object that a tenant with the role `edit` can create in their own namespace, and its collection. */
export interface HostileObject {
  readonly collection: 'secrets' | 'configmaps' | 'mtlscertificates';
  readonly object: object;
}

/** Kinds of objects that cost memory to read or to store. */
export type HostileKind = 'forged Secret' | 'forged ConfigMap' | 'Secret with 8,000 labels' | 'largest MtlsCertificate';

export const hostileKinds: readonly HostileKind[] = [
  'forged Secret',
  'forged ConfigMap',
  'Secret with 8,000 labels',
  'largest MtlsCertificate',
];

/** The API server allows 1 MiB of data in an object; in a Secret, before base64. */
const largestData = 2 ** 20;
const largestSecret = 1_390_000;
/** The API server accepts requests of up to 3 MiB. Escaping makes each of these characters six bytes. */
const mostEscaped = 500_000;

const managedBy = { 'app.kubernetes.io/managed-by': 'mtls-operator' };

/** The nth object of a kind, with about this many bytes in etcd, as far as the kind permits. */
export function hostileObject(kind: HostileKind, namespace: string, index: number, bytes: number): HostileObject {
  const name = `hostile-${index}`;
  const bytesOfText = Math.min(bytes, largestData);
  switch (kind) {
    case 'forged Secret':
      return {
        collection: 'secrets',
        object: {
          metadata: { namespace, name: `forged-${index}`, ...claimOf(name) },
          type: 'kubernetes.io/tls',
          data: { 'tls.crt': base64(Math.min(bytes, largestSecret)), 'tls.key': '', 'ca.crt': '' },
        },
      };
    case 'forged ConfigMap':
      return {
        collection: 'configmaps',
        object: {
          metadata: { namespace, name, labels: { ...managedBy, 'mtls-operator.io/authority': 'default' } },
          // Each control character takes six bytes of JSON.
          data: { 'ca.crt': index % 2 === 0 ? base64(bytesOfText) : '\u{1}'.repeat(Math.min(bytes, mostEscaped)) },
        },
      };
    case 'Secret with 8,000 labels': {
      const labels = Array.from({ length: 8000 }, (_, i) => [`example.com/label-${index}-${i}`, 'x'.repeat(60)]);
      const { labels: own, annotations, ownerReferences } = claimOf(name);
      const metadata = { namespace, name: `labelled-${index}`, annotations, ownerReferences };
      return {
        collection: 'secrets',
        object: { metadata: { ...metadata, labels: { ...Object.fromEntries(labels), ...own } }, type: 'Opaque' },
      };
    }
    case 'largest MtlsCertificate': {
      const role = { dnsNames: Array.from({ length: 85 }, (_, i) => `${name}-${i}.${'x'.repeat(30)}.example.com`) };
      return {
        collection: 'mtlscertificates',
        object: {
          apiVersion: 'mtls-operator.io/v1alpha1',
          kind: 'MtlsCertificate',
          metadata: { namespace, name },
          spec: { server: role, client: role, peer: role, secretTemplate: { annotations: { note: 'x'.repeat(3500) } } },
        },
      };
    }
  }
}

/** The containers of a pod of about this many bytes. Each variable costs more memory than bytes. */
export const largeContainers = (bytes: number) => [
  {
    name: 'main',
    image: 'localhost/none:1',
    env: Array.from({ length: Math.floor(bytes / '{"name":"v00000"},'.length) }, (_, i) => ({
      name: `v${String(i).padStart(5, '0')}`,
    })),
  },
];

/** Labels, annotation and owner of a Secret that claims to belong to a resource which does not exist. */
function claimOf(certificate: string) {
  return {
    labels: { ...managedBy, 'mtls-operator.io/certificate': certificate, 'mtls-operator.io/role': 'server' },
    annotations: { 'mtls-operator.io/secret-name': certificate },
    ownerReferences: [
      {
        apiVersion: 'mtls-operator.io/v1alpha1',
        kind: 'MtlsCertificate',
        name: certificate,
        uid: crypto.randomUUID(),
        controller: true,
      },
    ],
  };
}

const base64 = (length: number): string => randomBytes(Math.floor((length * 3) / 4)).toString('base64');
