import assert from 'node:assert/strict';

import { Agent, request } from 'undici';

import type { Permission } from '../../../tools/permissions/effective.ts';
import { mountSecret, secretFiles } from '../../../tools/secret-volume.ts';
import { operatorNamespace, paths } from '../api.ts';
import { eventually } from '../eventually.ts';
import type { Installation, Tenant } from '../installation.ts';
import type { PodWorld } from '../pods/pods.ts';
import { makeCa } from '../roots/make.ts';
import { needRestart, permissionsOfRestarts, prepareRestarts } from './restarts.ts';

/** Where an occasion takes place. */
export interface Place {
  readonly world: Installation;
  /** The namespace in which the operator has to use the permission. */
  readonly tenant: Tenant;
  /** Starts an operator. Its requests go through the proxy of the installation. */
  readonly start: () => Promise<unknown>;
  /** The folder with the certificate of its metrics server, if it serves metrics over TLS. */
  readonly metricsFolder?: string;
  /** The pods that request certificates, if the operator issues certificates to pods. */
  readonly pods?: PodWorld;
}

/** Makes the operator use a permission. */
type Occasion = (place: Place) => Promise<unknown>;

let requests = 0;

const metricsCertificate = 'mtls-operator-metrics';
const server = { server: { service: 'db' } };
const password = { name: 'password', key: 'password' };
const trustName = (use: string, { namespace }: Tenant): string => `${use}-${namespace}`;
const inNamespaceOf = ({ namespace }: Tenant) => ({ matchLabels: { 'kubernetes.io/metadata.name': namespace } });

/** Creates the objects that the occasions in a namespace change, and waits until the operator has handled them. */
export async function prepareOccasions({ world, tenant, pods }: Place, isNamespaced: boolean): Promise<void> {
  await world.api.create(paths.secrets(tenant.namespace), {
    metadata: { name: password.name },
    stringData: { [password.key]: 'correct horse battery staple' },
  });
  await Promise.all([
    tenant.issue('rotated', server),
    tenant.issue('patched', server),
    tenant.issue('pruned', { ...server, client: { serviceAccount: 'default' } }),
    tenant.issue('keystore', { ...server, outputs: { pkcs12: { passwordSecretRef: password } } }),
  ]);
  const uses = ['create', 'get', 'patch', 'delete'];
  await Promise.all(
    uses.map(async (use) => {
      const name = trustName(use, tenant);
      await world.createAuthority(name, { secretName: name, root: {} });
      await world.authorityIs(name, 'True');
    }),
  );
  for (const use of ['patch', 'delete']) {
    await publish(world, tenant, use, { ...configMap(use, tenant), ...(isNamespaced ? {} : inCluster) });
    await eventually(() => world.api.get(paths.configMaps(tenant.namespace, trustName(use, tenant))));
    if (!isNamespaced) await eventually(() => world.api.get(paths.clusterTrustBundles(bundleOf(use, tenant))));
  }
  if (pods !== undefined) {
    await world.patchAuthority('default', { spec: { podCertificates: {}, rotation: { podEvidence: true } } });
    const ports = [{ port: 443 }];
    await world.api.create(paths.services(tenant.namespace), {
      metadata: { name: 'db' },
      spec: { selector: labelsOfDb, ports },
    });
    await prepareRestarts(world, tenant);
  }
  // Objects of another owner under the names of bundles.
  const name = trustName('get', tenant);
  await world.api.create(paths.configMaps(tenant.namespace), { metadata: { name }, data: {} });
  if (isNamespaced) return;
  const spec = { signerName: `mtls-operator.io/${name}`, trustBundle: makeCa().pem };
  await world.api.create(paths.clusterTrustBundles(), { metadata: { name: bundleOf('get', tenant) }, spec });
}

const labelsOfDb = { app: 'db' };

/** A new pod with the names of a Service requests a certificate. */
const startPod: Occasion = async ({ tenant, pods }) => {
  assert.ok(pods !== undefined);
  const userAnnotations = { 'mtls-operator.io/services': 'db' };
  await pods.request(await pods.create(tenant.namespace, { labels: labelsOfDb, certificates: [{ userAnnotations }] }));
};

const bundleOf = (use: string, tenant: Tenant): string => `mtls-operator.io:${trustName(use, tenant)}:roots`;

const publish = (world: Installation, tenant: Tenant, use: string, trustBundle: object): Promise<unknown> =>
  world.patchAuthority(trustName(use, tenant), { spec: { trustBundle } });
const configMap = (use: string, tenant: Tenant) => ({
  configMap: { name: trustName(use, tenant), namespaceSelector: inNamespaceOf(tenant) },
});
const inCluster = { clusterTrustBundle: true };

/** Ends the watches of a collection, so that the operator watches it again. */
const watchAgain =
  (path: string): Occasion =>
  async ({ world: { proxy } }) =>
    proxy.cut(path);

/** Answers one watch of a collection as an API server that no longer has its events, so that the operator lists again. */
const listAgain =
  (path: string): Occasion =>
  async ({ world: { proxy } }) => {
    let isExpired = false;
    proxy.faults = {
      onRequest(exchange) {
        if (isExpired || !exchange.isWatch || exchange.path !== path) return 'pass';
        isExpired = true;
        return {
          status: 410,
          body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Expired', code: 410 },
        };
      },
    };
    proxy.cut(path);
    await eventually(() => assert.ok(isExpired), { message: `the operator does not watch ${path} again` });
  };

/** An object of each kind with the annotation `inject-ca-from`, whose roots are missing. */
const injectable: Readonly<Record<string, (name: string) => object>> = {
  'validatingwebhookconfigurations.admissionregistration.k8s.io': webhooks,
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': webhooks,
  'apiservices.apiregistration.k8s.io': (name) => ({
    metadata: { name: `v1.${name}`, annotations: injected },
    spec: {
      service: { namespace: 'default', name: 'none' },
      group: name,
      version: 'v1',
      groupPriorityMinimum: 1000,
      versionPriority: 10,
    },
  }),
  'customresourcedefinitions.apiextensions.k8s.io': (name) => {
    const plural = name.split('.')[0] ?? '';
    const schema = { openAPIV3Schema: { type: 'object' } };
    const webhook = { clientConfig: { url: 'https://127.0.0.1:9/' }, conversionReviewVersions: ['v1'] };
    return {
      metadata: { name, annotations: injected },
      spec: {
        group: name.slice(plural.length + 1),
        scope: 'Namespaced',
        names: { plural, kind: `Kind${plural}` },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
        conversion: { strategy: 'Webhook', webhook },
      },
    };
  },
};
const injected = { 'mtls-operator.io/inject-ca-from': 'default' };

function webhooks(name: string): object {
  const rules = [{ apiGroups: ['none.example.com'], apiVersions: ['v1'], resources: ['none'], operations: ['CREATE'] }];
  const clientConfig = { url: 'https://127.0.0.1:9/' };
  const webhook = {
    name: 'none.example.com',
    clientConfig,
    rules,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  };
  return { metadata: { name, annotations: injected }, webhooks: [webhook] };
}

/** The operator reads an annotated object, and fills its roots. */
const inject =
  (resource: string): Occasion =>
  ({ world }) =>
    world.api.create(
      collectionPath(resource, 'cluster'),
      injectable[resource]?.(`injected${++requests}.example.com`) ?? {},
    );

/** Events about an authority are in the namespace `default`. */
const reportOnAuthority: Occasion = ({ world }) => world.ownAuthority();

const issueAnother: Occasion = ({ tenant }) => tenant.create(`another-${++requests}`, server);
const rotate =
  (name: string): Occasion =>
  ({ tenant }) =>
    tenant.rotate(name, `${++requests}`);

/** The certificate of the metrics server is missing when the operator begins to lead. */
const leadWithoutMetricsCertificate: Occasion = async ({ world, start }) => {
  await world.tenantOf(operatorNamespace).delete(metricsCertificate);
  await world.operator.stop();
  await start();
};

/** A client with a token that the operator has not seen before reads the metrics. */
const readMetrics: Occasion = async ({ world, metricsFolder = '' }) => {
  const own = world.tenantOf(operatorNamespace);
  const isMissing = (await world.api.find(paths.certificates(operatorNamespace, metricsCertificate))) === undefined;
  // The operator would create it again within a minute.
  if (isMissing) await own.create(metricsCertificate, { server: { service: 'mtls-operator' } });
  const secret = await eventually(() => own.secret(`${metricsCertificate}-server-tls`));
  await mountSecret(metricsFolder, secretFiles(secret));
  const token = await world.cluster.kubectl(['create', 'token', 'default']);
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  await eventually(async () => {
    const line = world.operator.logs.find(({ message }) => message === 'serving metrics over TLS');
    assert.ok(line !== undefined, 'the operator does not serve metrics over TLS');
    const headers = { authorization: `Bearer ${token.trim()}` };
    const { body } = await request(`https://${String(line['address'])}/metrics`, { dispatcher, headers });
    await body.dump();
  });
  await dispatcher.close();
};

const occasions: Readonly<Record<string, Occasion>> = {
  'get mtlscertificates.mtls-operator.io': rotate('rotated'),
  'create mtlscertificates.mtls-operator.io': leadWithoutMetricsCertificate,
  'create tokenreviews.authentication.k8s.io': readMetrics,
  'create subjectaccessreviews.authorization.k8s.io': readMetrics,
  'patch mtlscertificates/status.mtls-operator.io': issueAnother,
  // The operator creates an authority when it begins to lead a cluster without one.
  'create mtlsauthorities.mtls-operator.io': ({ start }) => start(),
  'patch mtlsauthorities/status.mtls-operator.io': ({ world }) =>
    world.patchAuthority('default', { spec: { rotation: { reissuesPerSecond: 50 + ++requests } } }),
  'get secrets': rotate('keystore'),
  'create secrets': issueAnother,
  'patch secrets': rotate('patched'),
  'delete secrets': ({ tenant }) => tenant.patch('pruned', { spec: { client: null } }),
  'create configmaps': ({ world, tenant }) => publish(world, tenant, 'create', configMap('create', tenant)),
  'get configmaps': ({ world, tenant }) => publish(world, tenant, 'get', configMap('get', tenant)),
  'patch configmaps': ({ world, tenant }) =>
    world.api.patch(paths.configMaps(tenant.namespace, trustName('patch', tenant)), { data: { 'ca.crt': 'other' } }),
  'delete configmaps': ({ world, tenant }) => publish(world, tenant, 'delete', { configMap: null }),
  'create clustertrustbundles.certificates.k8s.io': ({ world, tenant }) => publish(world, tenant, 'create', inCluster),
  'get clustertrustbundles.certificates.k8s.io': ({ world, tenant }) => publish(world, tenant, 'get', inCluster),
  'patch clustertrustbundles.certificates.k8s.io': ({ world, tenant }) =>
    world.api.patch(paths.clusterTrustBundles(bundleOf('patch', tenant)), { spec: { trustBundle: makeCa().pem } }),
  'delete clustertrustbundles.certificates.k8s.io': ({ world, tenant }) =>
    publish(world, tenant, 'delete', { clusterTrustBundle: false }),
  'attest signers.certificates.k8s.io': ({ world, tenant }) =>
    world.api.patch(paths.clusterTrustBundles(bundleOf('patch', tenant)), { spec: { trustBundle: makeCa().pem } }),
  'update podcertificaterequests/status.certificates.k8s.io': startPod,
  'sign signers.certificates.k8s.io': startPod,
  'get pods': startPod,
  'get services': startPod,
  'create events.events.k8s.io': issueAnother,
  ...Object.fromEntries(
    Object.keys(injectable).flatMap((resource) =>
      ['get', 'patch'].map((verb) => [`${verb} ${resource}`, inject(resource)]),
    ),
  ),
  ...Object.fromEntries(
    permissionsOfRestarts.map((permission): [string, Occasion] => [
      permission,
      ({ tenant }) => needRestart(permission, tenant),
    ]),
  ),
  // Another client has changed the Lease: the leader reads it.
  'get leases.coordination.k8s.io': ({ world: { api } }) =>
    eventually(() => api.patch(paths.lease, { metadata: { annotations: { 'example.com/seen': `${++requests}` } } })),
  'update leases.coordination.k8s.io': async () => {},
  'create leases.coordination.k8s.io': ({ world: { api } }) => api.delete(paths.lease),
};

/** How to make the operator use a permission; undefined if there is no known way. */
export function occasionFor({ scope, resource, verb }: Permission): Occasion | undefined {
  if (scope === 'default' && resource === 'events.events.k8s.io') return reportOnAuthority;
  if (verb === 'watch') return watchAgain(collectionPath(resource, scope));
  if (verb === 'list') return listAgain(collectionPath(resource, scope));
  return occasions[`${verb} ${resource}`];
}

function collectionPath(resource: string, scope: string): string {
  const [plural, ...group] = resource.split('.');
  const root = group.length === 0 ? '/api/v1' : `/apis/${group.join('.')}/${group.includes('k8s') ? 'v1' : 'v1alpha1'}`;
  return scope === 'cluster' ? `${root}/${plural}` : `${root}/namespaces/${scope}/${plural}`;
}
