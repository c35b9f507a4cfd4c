import type { Permission } from '../../../tools/permissions/effective.ts';
import { paths } from '../api.ts';
import { eventually } from '../eventually.ts';
import type { Installation, Tenant } from '../installation.ts';
import { makeCa } from '../roots/make.ts';

/** Makes the operator use a permission in a namespace. */
type Occasion = (world: Installation, tenant: Tenant) => Promise<unknown>;

let requests = 0;

const server = { server: { service: 'db' } };
const password = { name: 'password', key: 'password' };
const trustName = (use: string, { namespace }: Tenant): string => `${use}-${namespace}`;
const inNamespaceOf = ({ namespace }: Tenant) => ({ matchLabels: { 'kubernetes.io/metadata.name': namespace } });

/** Creates the objects that the occasions in a namespace change, and waits until the operator has handled them. */
export async function prepareOccasions(world: Installation, tenant: Tenant, isNamespaced: boolean): Promise<void> {
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
  // Objects of another owner under the names of bundles.
  const name = trustName('get', tenant);
  await world.api.create(paths.configMaps(tenant.namespace), { metadata: { name }, data: {} });
  if (isNamespaced) return;
  const spec = { signerName: `mtls-operator.io/${name}`, trustBundle: makeCa().pem };
  await world.api.create(paths.clusterTrustBundles(), { metadata: { name: bundleOf('get', tenant) }, spec });
}

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
  async ({ proxy }) =>
    proxy.cut(path);

/** Answers one watch of a collection as an API server that no longer has its events, so that the operator lists again. */
const listAgain =
  (path: string): Occasion =>
  async ({ proxy }) => {
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
  };

const issueAnother: Occasion = (_, tenant) => tenant.create(`another-${++requests}`, server);
const rotate =
  (name: string): Occasion =>
  (_, tenant) =>
    tenant.rotate(name, `${++requests}`);

const occasions: Readonly<Record<string, Occasion>> = {
  'get mtlscertificates.mtls-operator.io': rotate('rotated'),
  'patch mtlscertificates/status.mtls-operator.io': issueAnother,
  // The operator creates an authority when it begins to lead a cluster without one.
  'create mtlsauthorities.mtls-operator.io': (world) => world.start({ server: world.proxy.server }),
  'patch mtlsauthorities/status.mtls-operator.io': (world) =>
    world.patchAuthority('default', { spec: { rotation: { reissuesPerSecond: 50 + ++requests } } }),
  'get secrets': rotate('keystore'),
  'create secrets': issueAnother,
  'patch secrets': rotate('patched'),
  'delete secrets': (_, tenant) => tenant.patch('pruned', { spec: { client: null } }),
  'create configmaps': (world, tenant) => publish(world, tenant, 'create', configMap('create', tenant)),
  'get configmaps': (world, tenant) => publish(world, tenant, 'get', configMap('get', tenant)),
  'patch configmaps': (world, tenant) =>
    world.api.patch(paths.configMaps(tenant.namespace, trustName('patch', tenant)), { data: { 'ca.crt': 'other' } }),
  'delete configmaps': (world, tenant) => publish(world, tenant, 'delete', { configMap: null }),
  'create clustertrustbundles.certificates.k8s.io': (world, tenant) => publish(world, tenant, 'create', inCluster),
  'get clustertrustbundles.certificates.k8s.io': (world, tenant) => publish(world, tenant, 'get', inCluster),
  'patch clustertrustbundles.certificates.k8s.io': (world, tenant) =>
    world.api.patch(paths.clusterTrustBundles(bundleOf('patch', tenant)), { spec: { trustBundle: makeCa().pem } }),
  'delete clustertrustbundles.certificates.k8s.io': (world, tenant) =>
    publish(world, tenant, 'delete', { clusterTrustBundle: false }),
  'attest signers.certificates.k8s.io': (world, tenant) =>
    world.api.patch(paths.clusterTrustBundles(bundleOf('patch', tenant)), { spec: { trustBundle: makeCa().pem } }),
  'create events.events.k8s.io': issueAnother,
  // Another client has changed the Lease: the leader reads it.
  'get leases.coordination.k8s.io': ({ api }) =>
    eventually(() => api.patch(paths.lease, { metadata: { annotations: { 'example.com/seen': `${++requests}` } } })),
  'update leases.coordination.k8s.io': async () => {},
  'create leases.coordination.k8s.io': ({ api }) => api.delete(paths.lease),
};

/** How to make the operator use a permission; undefined if there is no known way. */
export function occasionFor({ scope, resource, verb }: Permission): Occasion | undefined {
  if (verb === 'watch') return watchAgain(collectionPath(resource, scope));
  if (verb === 'list') return listAgain(collectionPath(resource, scope));
  return occasions[`${verb} ${resource}`];
}

function collectionPath(resource: string, scope: string): string {
  const [plural, ...group] = resource.split('.');
  const root = group.length === 0 ? '/api/v1' : `/apis/${group.join('.')}/${group.includes('k8s') ? 'v1' : 'v1alpha1'}`;
  return scope === 'cluster' ? `${root}/${plural}` : `${root}/namespaces/${scope}/${plural}`;
}
