import { type Api, base64, paths } from '../api.ts';
import type { Installation } from '../installation.ts';
import { makeCa } from '../roots/make.ts';

/** A release of the operator, as its admission policy knows it. */
export interface Confined {
  /** The operator's namespace. */
  readonly namespace: string;
  /** Its ServiceAccount. */
  readonly account: string;
  /** The authorities that the operator may create. */
  readonly authorities: readonly string[];
  /** The MtlsCertificate that the operator may create; undefined if it creates none. */
  readonly metricsCertificate?: string;
  /** Whether it may restart workloads. */
  readonly restartsWorkloads?: boolean;
}

/** A write that a stolen token of the operator attempts. */
export interface Attempt {
  readonly what: string;
  /** Part of the API server's message; absent for a write that the operator itself needs and that must succeed. */
  readonly refused?: string;
  readonly write: (api: Api, query: string) => Promise<unknown>;
}

const tlsData = { 'tls.crt': base64('certificate'), 'tls.key': base64('key') };
const leafLabels = {
  'app.kubernetes.io/managed-by': 'mtls-operator',
  'mtls-operator.io/certificate': 'payments',
  'mtls-operator.io/role': 'server',
};
const rootLabels = { 'app.kubernetes.io/managed-by': 'mtls-operator' };
const trustLabels = { ...rootLabels, 'mtls-operator.io/authority': 'default' };
const foreignOwner = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: 'foreign',
  uid: '00000000-0000-4000-8000-000000000000',
};
const ownController = {
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsCertificate',
  name: 'payments',
  uid: '00000000-0000-4000-8000-000000000001',
  controller: true,
};

const secret = (
  name: string,
  labels: object,
  more: { readonly metadata?: object; readonly [field: string]: unknown } = {},
) => ({
  type: 'kubernetes.io/tls',
  data: tlsData,
  ...more,
  metadata: { name, labels, ...more.metadata },
});
const configMap = (name: string, labels: object, more: object = {}) => ({
  data: { 'ca.crt': 'roots' },
  ...more,
  metadata: { name, labels },
});
const certificate = (name: string) => ({
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsCertificate',
  metadata: { name },
  spec: { server: { service: 'metrics' } },
});
const bundle = (signer: string) => ({
  metadata: { name: `${signer.replace('/', ':')}:attempt` },
  spec: { signerName: signer, trustBundle: makeCa().pem },
});

const workloads = ['deployments', 'statefulsets', 'daemonsets'] as const;
const labels = { app: 'web' };
const container = { name: 'web', image: 'web:1', env: [{ name: 'MODE', value: 'safe' }] };
/** A workload of a tenant. */
function workload(kind: (typeof workloads)[number]): object {
  const template = {
    metadata: { labels, annotations: { 'example.com/kept': 'yes' } },
    spec: { containers: [container] },
  };
  const replicas = kind === 'daemonsets' ? {} : { replicas: 0 };
  const serviceName = kind === 'statefulsets' ? { serviceName: 'web' } : {};
  return {
    metadata: { name: 'web' },
    spec: { selector: { matchLabels: labels }, template, ...replicas, ...serviceName },
  };
}
const templateAnnotations = (annotations: object) => ({ spec: { template: { metadata: { annotations } } } });
const restart = templateAnnotations({
  'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z',
  'mtls-operator.io/restarted-for': 'a1b2c3/Draining',
});
const onlyTemplate = 'changes only annotations of a pod template';
const onlyMetadata = 'changes no metadata of a workload';
const onlyRestarts = 'sets only the annotations kubectl.kubernetes.io/restartedAt';

/** Changes of a workload that would be more than a restart, by what they change. */
const takeovers: readonly (readonly [what: string, refused: string, change: object])[] = [
  ['the image', onlyTemplate, inTemplate({ containers: [{ ...container, image: 'evil:1' }] })],
  ['another container', onlyTemplate, inTemplate({ containers: [container, { name: 'evil', image: 'evil:1' }] })],
  ['the ServiceAccount', onlyTemplate, inTemplate({ serviceAccountName: 'admin' })],
  ['a label of the pods', onlyTemplate, { spec: { template: { metadata: { labels: { ...labels, role: 'admin' } } } } }],
  ['a finalizer of the pods', onlyTemplate, { spec: { template: { metadata: { finalizers: ['example.com/held'] } } } }],
  ['minReadySeconds', onlyTemplate, { spec: { minReadySeconds: 60 } }],
  ['another annotation of the pods', onlyRestarts, templateAnnotations({ 'example.com/inject': 'sidecar' })],
  ['the removal of an annotation of the pods', onlyRestarts, templateAnnotations({ 'example.com/kept': null })],
  ['a label', onlyMetadata, { metadata: { labels: { team: 'other' } } }],
  ['an annotation', onlyMetadata, { metadata: { annotations: { 'example.com/note': 'other' } } }],
];
function inTemplate(spec: object): object {
  return { spec: { template: { spec } } };
}
const workloadPath = (kind: string, name = ''): string =>
  `/apis/apps/v1/namespaces/shop/${kind}${name === '' ? '' : `/${name}`}`;

const create =
  (path: string, object: object): Attempt['write'] =>
  (api, query) =>
    api.create(`${path}${query}`, object);
const patch =
  (path: string, change: object): Attempt['write'] =>
  (api, query) =>
    api.patch(`${path}${query}`, change);
const remove =
  (path: string): Attempt['write'] =>
  (api, query) =>
    api.delete(`${path}${query}`);

const helmRelease = 'sh.helm.release.v1.mtls-operator.v1';
const inSystem = 'writes no Secrets in kube-system';
const otherType = 'writes only Secrets of type kubernetes.io/tls';
const createsOwn = 'creates only Secrets with its labels';
const changesOwn = 'changes only Secrets with its labels';
const deletesOwn = 'deletes only Secrets of certificates';
const serviceAccountToken = (labels: object, account = 'clusterrole-aggregation-controller') =>
  secret('attempt', labels, {
    type: 'kubernetes.io/service-account-token',
    data: {},
    metadata: { annotations: { 'kubernetes.io/service-account.name': account } },
  });

/** The writes that the admission policy of a release refuses, although RBAC allows them. */
export const forbiddenAttempts = ({
  namespace: own,
  authorities,
  metricsCertificate,
  restartsWorkloads = false,
}: Confined): readonly (Attempt & { readonly refused: string })[] => [
  ...(restartsWorkloads
    ? workloads.flatMap((kind) =>
        takeovers.map(([what, refused, change]) => ({
          what: `${what} of ${kind}`,
          refused,
          write: patch(workloadPath(kind, 'web'), change),
        })),
      )
    : []),
  {
    what: 'a ServiceAccount token of an administrator, in kube-system',
    refused: 'denied request',
    write: create(paths.secrets('kube-system'), serviceAccountToken({})),
  },
  {
    what: 'a ServiceAccount token with the labels of the operator, in a namespace of a tenant',
    refused: otherType,
    write: create(paths.secrets('shop'), serviceAccountToken(leafLabels, 'default')),
  },
  {
    what: 'a ServiceAccount token in its own namespace',
    refused: otherType,
    write: create(paths.secrets(own), serviceAccountToken(rootLabels, 'default')),
  },
  {
    what: 'a bootstrap token',
    refused: inSystem,
    write: create(
      paths.secrets('kube-system'),
      secret('bootstrap-token-abcdef', leafLabels, {
        type: 'bootstrap.kubernetes.io/token',
        data: { 'token-id': base64('abcdef'), 'token-secret': base64('0123456789abcdef') },
      }),
    ),
  },
  {
    what: 'an Opaque Secret with its labels',
    refused: otherType,
    write: create(paths.secrets('shop'), secret('attempt', leafLabels, { type: 'Opaque' })),
  },
  {
    what: 'an Opaque Secret in its own namespace',
    refused: otherType,
    write: create(paths.secrets(own), secret('attempt', rootLabels, { type: 'Opaque' })),
  },
  ...['kube-system', 'kube-public', 'kube-node-lease'].map((namespace) => ({
    what: `a TLS Secret with its labels in ${namespace}`,
    refused: inSystem,
    write: create(paths.secrets(namespace), secret('attempt', leafLabels)),
  })),
  {
    what: 'a TLS Secret without labels',
    refused: createsOwn,
    write: create(paths.secrets('shop'), secret('attempt', {})),
  },
  {
    what: 'a TLS Secret with the label of a root, in a namespace of a tenant',
    refused: createsOwn,
    write: create(paths.secrets('shop'), secret('attempt', rootLabels)),
  },
  {
    what: 'a TLS Secret for a role that does not exist',
    refused: createsOwn,
    write: create(paths.secrets('shop'), secret('attempt', { ...leafLabels, 'mtls-operator.io/role': 'ca' })),
  },
  {
    what: 'a root Secret without its label',
    refused: createsOwn,
    write: create(paths.secrets(own), secret('attempt', {})),
  },
  {
    what: 'a root Secret with another key',
    refused: createsOwn,
    write: create(paths.secrets(own), secret('attempt', rootLabels, { data: { ...tlsData, token: base64('token') } })),
  },
  {
    what: 'an ownerReference of another kind on a new Secret',
    refused: 'only ownerReferences to kinds of mtls-operator.io',
    write: create(
      paths.secrets('shop'),
      secret('attempt', leafLabels, { metadata: { ownerReferences: [foreignOwner] } }),
    ),
  },
  {
    what: 'an ownerReference of another kind on one of its own Secrets',
    refused: 'only ownerReferences to kinds of mtls-operator.io',
    write: patch(paths.secrets('shop', 'ours'), { metadata: { ownerReferences: [foreignOwner] } }),
  },
  {
    what: 'a finalizer on one of its own Secrets',
    refused: 'sets no finalizers',
    write: patch(paths.secrets('shop', 'ours'), { metadata: { finalizers: ['example.com/held'] } }),
  },
  {
    what: 'the data of a foreign TLS Secret',
    refused: changesOwn,
    write: patch(paths.secrets('shop', 'foreign-tls'), { data: tlsData }),
  },
  {
    what: 'its labels on a foreign TLS Secret',
    refused: changesOwn,
    write: patch(paths.secrets('shop', 'foreign-tls'), { metadata: { labels: leafLabels } }),
  },
  {
    what: 'its ownerReference on a foreign TLS Secret',
    refused: changesOwn,
    write: patch(paths.secrets('shop', 'foreign-tls'), {
      metadata: { labels: leafLabels, ownerReferences: [ownController] },
    }),
  },
  {
    what: 'the removal of the labels of one of its own Secrets',
    refused: changesOwn,
    write: patch(paths.secrets('shop', 'ours'), { metadata: { labels: { 'mtls-operator.io/certificate': null } } }),
  },
  {
    what: 'the data of a foreign Opaque Secret',
    refused: 'denied request',
    write: patch(paths.secrets('shop', 'foreign-opaque'), { data: { password: base64('new') } }),
  },
  {
    what: 'the data of an Opaque Secret with its labels',
    refused: otherType,
    write: patch(paths.secrets('shop', 'ours-opaque'), { data: { password: base64('new') } }),
  },
  {
    what: 'the data of a Secret of another type in its own namespace',
    refused: 'denied request',
    write: patch(paths.secrets(own, 'registry'), { data: { password: base64('new') } }),
  },
  ...['foreign-tls', 'foreign-opaque'].map((name) => ({
    what: `the deletion of a foreign Secret, ${name}`,
    refused: deletesOwn,
    write: remove(paths.secrets('shop', name)),
  })),
  {
    what: 'the record of its release that Helm reads',
    refused: 'denied request',
    write: patch(paths.secrets(own, helmRelease), { data: { release: base64('forged') } }),
  },
  {
    what: 'another record of its release',
    refused: otherType,
    write: create(paths.secrets(own), secret('attempt', rootLabels, { type: 'helm.sh/release.v1', data: {} })),
  },
  ...['brought-root', 'registry', helmRelease].map((name) => ({
    what: `the deletion of a Secret in its own namespace, ${name}`,
    refused: deletesOwn,
    write: remove(paths.secrets(own, name)),
  })),
  {
    what: 'the deletion of a Secret in kube-system, with its labels',
    refused: inSystem,
    write: remove(paths.secrets('kube-system', 'labelled')),
  },
  {
    what: 'a ConfigMap without labels',
    refused: 'only ConfigMaps with its labels',
    write: create(paths.configMaps('shop'), configMap('attempt', {})),
  },
  {
    what: 'a ConfigMap with its labels whose keys grant rights (aws-auth)',
    refused: 'only the keys ca.crt and ca.crl of a ConfigMap',
    write: create(paths.configMaps('kube-system'), configMap('aws-auth', trustLabels, { data: { mapUsers: '[]' } })),
  },
  {
    what: 'a ConfigMap with its labels whose binary data grants rights',
    refused: 'only the keys ca.crt and ca.crl of a ConfigMap',
    write: create(
      paths.configMaps('kube-system'),
      configMap('aws-auth', trustLabels, { binaryData: { mapUsers: base64('[]') } }),
    ),
  },
  {
    what: 'a ConfigMap with its labels and a text under the key of a truststore',
    refused: 'only the keys ca.crt and ca.crl of a ConfigMap',
    write: create(paths.configMaps('shop'), configMap('text', trustLabels, { data: { 'truststore.p12': 'text' } })),
  },
  {
    what: 'a foreign key in one of its own ConfigMaps',
    refused: 'only the keys ca.crt and ca.crl of a ConfigMap',
    write: patch(paths.configMaps('shop', 'ours'), { data: { 'others.txt': 'changed' } }),
  },
  {
    what: 'an additional key in one of its own ConfigMaps',
    refused: 'only the keys ca.crt and ca.crl of a ConfigMap',
    write: patch(paths.configMaps('shop', 'ours'), { data: { more: 'text' } }),
  },
  {
    what: 'a ConfigMap with so many foreign keys that the comparison would load the API server',
    refused: 'only ConfigMaps with at most 64 keys',
    write: patch(paths.configMaps('shop', 'crowded'), { data: { 'ca.crt': 'new' } }),
  },
  {
    what: 'an Opaque Secret with its labels and the same number of keys',
    refused: otherType,
    write: patch(paths.secrets('shop', 'crowded'), {
      metadata: { annotations: { 'mtls-operator.io/secret-name': 'crowded' } },
    }),
  },
  {
    what: 'the data of a foreign ConfigMap',
    refused: 'changes and deletes only ConfigMaps with its labels',
    write: patch(paths.configMaps('shop', 'foreign'), { metadata: { labels: trustLabels }, data: { 'ca.crt': 'new' } }),
  },
  {
    what: 'the authorities in the ConfigMap of its chart',
    refused: 'changes and deletes only ConfigMaps with its labels',
    write: patch(paths.configMaps(own, 'chart'), { metadata: { labels: trustLabels }, data: { 'ca.crt': '[]' } }),
  },
  {
    what: 'the deletion of a foreign ConfigMap',
    refused: 'changes and deletes only ConfigMaps with its labels',
    write: remove(paths.configMaps('shop', 'foreign')),
  },
  {
    what: 'a finalizer on one of its own ConfigMaps',
    refused: 'sets no finalizers',
    write: patch(paths.configMaps('shop', 'ours'), { metadata: { finalizers: ['example.com/held'] } }),
  },
  {
    what: 'the deletion of a ClusterTrustBundle of another signer',
    refused: 'only ClusterTrustBundles whose signer is mtls-operator.io/*',
    write: remove(paths.clusterTrustBundles('example.com:other:roots')),
  },
  {
    what: 'a Lease with another name',
    refused: 'only the Lease mtls-operator',
    write: create(`/apis/coordination.k8s.io/v1/namespaces/${own}/leases`, { metadata: { name: 'attempt' } }),
  },
  {
    what: 'an MtlsAuthority with another name',
    refused: `only the MtlsAuthority ${authorities.join(', ')}`,
    write: create(paths.authorities(), {
      apiVersion: 'mtls-operator.io/v1alpha1',
      kind: 'MtlsAuthority',
      metadata: { name: 'attempt' },
      spec: { secretName: 'attempt', root: {}, issuance: { allow: [{ namespaceSelector: {}, dnsNames: ['*.com'] }] } },
    }),
  },
  ...(metricsCertificate === undefined
    ? []
    : [
        {
          what: 'an MtlsCertificate for other names',
          refused: `only the MtlsCertificate ${metricsCertificate}`,
          write: create(paths.certificates(own), certificate('attempt')),
        },
      ]),
];

/** The writes that the operator of a release needs. */
export const allowedAttempts = ({
  namespace: own,
  authorities,
  metricsCertificate,
  restartsWorkloads = false,
}: Confined): readonly Attempt[] => [
  ...(restartsWorkloads
    ? workloads.map((kind) => ({ what: `a restart of ${kind}`, write: patch(workloadPath(kind, 'web'), restart) }))
    : []),
  {
    what: 'a Secret of a certificate',
    write: create(paths.secrets('shop'), secret('new', leafLabels, { metadata: { ownerReferences: [ownController] } })),
  },
  {
    what: 'a Secret of a certificate in its own namespace',
    write: create(paths.secrets(own), secret('new', leafLabels)),
  },
  { what: 'the data of one of its own Secrets', write: patch(paths.secrets('shop', 'ours'), { data: tlsData }) },
  {
    what: 'its ownerReference on a Secret that was handed over, next to a foreign ownerReference',
    write: async (api, query) => {
      const { metadata } = await api.get(paths.secrets('shop', 'shared'));
      const ownerReferences = [...(metadata.ownerReferences ?? []), ownController];
      return api.patch(`${paths.secrets('shop', 'shared')}${query}`, { metadata: { ownerReferences } });
    },
  },
  {
    what: 'the labels of a Secret that it controls and that lost them',
    write: patch(paths.secrets('shop', 'unlabelled'), { metadata: { labels: leafLabels }, data: tlsData }),
  },
  { what: 'the deletion of one of its own Secrets', write: remove(paths.secrets('shop', 'ours')) },
  {
    what: 'an annotation on an Opaque Secret with its labels, before it is replaced',
    write: patch(paths.secrets('shop', 'ours-opaque'), {
      metadata: { annotations: { 'mtls-operator.io/secret-name': 'ours-opaque' } },
    }),
  },
  { what: 'the deletion of an Opaque Secret with its labels', write: remove(paths.secrets('shop', 'ours-opaque')) },
  { what: 'a root Secret', write: create(paths.secrets(own), secret('new-root', rootLabels)) },
  {
    what: "the next root in a user's root Secret",
    write: patch(paths.secrets(own, 'brought-root'), {
      data: { 'next.crt': base64('root'), 'next.key': base64('key') },
    }),
  },
  ...['shop', 'kube-system'].map((namespace) => ({
    what: `a ConfigMap with roots and CRLs in ${namespace}`,
    write: create(
      paths.configMaps(namespace),
      configMap('new', trustLabels, { data: { 'ca.crt': 'a', 'ca.crl': 'b' } }),
    ),
  })),
  {
    what: 'the roots in one of its own ConfigMaps, next to foreign keys',
    write: patch(paths.configMaps('shop', 'ours'), {
      data: { 'ca.crt': 'new', 'ca.crl': null },
      binaryData: { 'ca.crt': null },
    }),
  },
  {
    what: 'a truststore in one of its own ConfigMaps',
    write: patch(paths.configMaps('shop', 'ours'), { binaryData: { 'truststore.p12': base64('roots') } }),
  },
  { what: 'the deletion of one of its own ConfigMaps', write: remove(paths.configMaps('shop', 'ours')) },
  {
    what: 'one of its own ClusterTrustBundles',
    write: create(paths.clusterTrustBundles(), bundle('mtls-operator.io/default')),
  },
  {
    what: 'its Lease',
    write: create(`/apis/coordination.k8s.io/v1/namespaces/${own}/leases`, {
      metadata: { name: 'mtls-operator' },
    }),
  },
  ...(metricsCertificate === undefined
    ? []
    : [
        {
          what: 'the MtlsCertificate of its metrics server',
          write: create(paths.certificates(own), certificate(metricsCertificate)),
        },
      ]),
  ...authorities.map((name) => ({
    what: `the authority ${name}`,
    write: create(paths.authorities(), {
      apiVersion: 'mtls-operator.io/v1alpha1',
      kind: 'MtlsAuthority',
      metadata: { name },
      spec: { secretName: 'mtls-root', root: {} },
    }),
  })),
];

/** Creates the objects of tenants and of the system that the attempts change. */
export async function prepareTenants(world: Installation): Promise<void> {
  const { api } = world;
  await api.create(paths.namespaces(), { metadata: { name: 'shop' } });
  const opaque = { type: 'Opaque', data: { password: base64('old') } };
  await api.create(paths.secrets('shop'), secret('foreign-tls', {}));
  await api.create(paths.secrets('shop'), secret('foreign-opaque', {}, opaque));
  await api.create(paths.secrets('shop'), secret('ours', leafLabels));
  await api.create(paths.secrets('shop'), secret('ours-opaque', leafLabels, opaque));
  // The owners must exist, because the garbage collector would delete the Secrets otherwise.
  const { metadata: foreign } = await api.create(paths.configMaps('shop'), configMap('foreign', {}));
  const shared = { metadata: { ownerReferences: [{ ...foreignOwner, uid: foreign.uid }] } };
  await api.create(paths.secrets('shop'), secret('shared', leafLabels, shared));
  const owner = await world.tenantOf('shop').create('payments', { server: { service: 'payments' } });
  const controlled = { metadata: { ownerReferences: [{ ...ownController, uid: owner.metadata.uid }] } };
  await api.create(paths.secrets('shop'), secret('unlabelled', {}, controlled));
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key-${i}`, '']));
  await api.create(paths.configMaps('shop'), configMap('crowded', trustLabels, { data: many }));
  await api.create(paths.secrets('shop'), secret('crowded', leafLabels, { type: 'Opaque', data: many }));
  await api.create(paths.secrets('kube-system'), secret('labelled', leafLabels));
  const data = { 'ca.crt': 'roots', 'others.txt': 'theirs' };
  await api.create(
    paths.configMaps('shop'),
    configMap('ours', trustLabels, { data, binaryData: { bin: base64('theirs') } }),
  );
  for (const kind of workloads) await api.create(workloadPath(kind), workload(kind));
  await api.create(paths.clusterTrustBundles(), {
    ...bundle('example.com/other'),
    metadata: { name: 'example.com:other:roots' },
  });
}

/** Creates the objects in the namespace of a release that the attempts change. */
export async function prepareRelease(api: Api, { namespace: own }: Confined): Promise<void> {
  const registry = { type: 'Opaque', data: { password: base64('old') } };
  const release = { type: 'helm.sh/release.v1', data: { release: base64('release') } };
  const ofHelm = { 'app.kubernetes.io/managed-by': 'Helm' };
  await api.create(paths.secrets(own), secret('brought-root', {}));
  await api.create(paths.secrets(own), secret('registry', {}, registry));
  await api.create(paths.secrets(own), secret(helmRelease, { owner: 'helm' }, release));
  await api.create(paths.configMaps(own), configMap('chart', ofHelm, { data: { 'authorities.json': '[]' } }));
}
