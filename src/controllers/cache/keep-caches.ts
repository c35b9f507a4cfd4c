import {
  clusterTrustBundles as clusterTrustBundleResource,
  configMaps as configMapResource,
  type GuardedClient,
  type Log,
  namespaces as namespaceResource,
  OptionalReflector,
  onAbort,
  Reflector,
  secrets as secretResource,
} from '../../kube/index.ts';
import type { CertificateRecord } from '../../plan/index.ts';
import { leafSecretSelector } from '../objects/leaf-secret.ts';
import { passwordMark, passwordSelector } from '../objects/password-secret.ts';
import {
  authorityRecord,
  authorities as authorityResource,
  certificateRecord,
  certificates as certificateResource,
  namespaceRecord,
} from '../objects/resources.ts';
import { inClusterTrustBundle, inConfigMap, trustSelector } from '../objects/trust-objects.ts';
import { type Caches, requestsKeystores } from './caches.ts';

export interface CacheSources {
  readonly client: GuardedClient;
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  readonly log: Log;
  readonly onError: (resource: string, code: string) => void;
  /** Called after each list of a collection, with the number of its objects. */
  readonly onListed: (count: number) => void;
}

/** Callbacks while the caches are filled. */
export interface CacheSteps {
  /** Called when authorities, root Secrets and namespaces are cached, before Secrets are read. */
  readonly afterRoots: () => Promise<void>;
  /** Called when all caches are filled. */
  readonly afterAll: () => void;
}

/**
 * Fills all caches and keeps them up to date until the signal aborts. Roots and MtlsCertificates come before Secrets: a leaf
 * is verified against the roots when its Secret is read, and a Secret is examined only if a known resource can own it.
 */
export async function keepCaches(
  caches: Caches,
  sources: CacheSources,
  signal: AbortSignal,
  { afterRoots, afterAll }: CacheSteps,
): Promise<void> {
  const roots = rootReflectors(caches, sources);
  const certificates = certificateReflector(caches, sources);
  const running = [...roots, certificates].map((reflector) => reflector.run(signal));
  if (!(await allSynced(roots))) {
    // The signal has aborted.
    await Promise.all(running);
    return;
  }
  await afterRoots();
  const bundles = bundleReflectors(caches, sources);
  running.push(...bundles.map((reflector) => reflector.run(signal)));
  const secrets = secretReflector(caches, sources);
  running.push(certificates.synced.then((isSynced) => (isSynced ? secrets.run(signal) : undefined)));
  const passwords = passwordReflector(caches, sources);
  running.push(firstKeystore(caches, signal).then(() => passwords.run(signal)));
  if ((await certificates.synced) && (await allSynced([...bundles, secrets]))) {
    caches.configMaps.noteNamespaces(caches.namespaces.keys());
    afterAll();
  }
  await Promise.all(running);
}

const common = ({ client, log, onError, onListed }: CacheSources, resource: string) => ({
  client,
  log,
  onListed,
  onError: (code: string) => onError(resource, code),
});

const rootReflectors = ({ authorities, rootSecrets, namespaces }: Caches, sources: CacheSources) => [
  new Reflector({
    ...common(sources, 'mtlsauthorities'),
    resource: authorityResource,
    transform: authorityRecord,
    store: authorities,
  }),
  new Reflector({
    ...common(sources, 'secrets'),
    resource: secretResource,
    namespace: sources.namespace,
    metadataOnly: true,
    transform: ({ metadata: { name, resourceVersion } }) => ({ namespace: sources.namespace, name, resourceVersion }),
    store: rootSecrets,
  }),
  new Reflector({
    ...common(sources, 'namespaces'),
    resource: namespaceResource,
    metadataOnly: true,
    transform: namespaceRecord,
    store: namespaces,
  }),
];

const certificateReflector = ({ certificates }: Caches, sources: CacheSources) =>
  new Reflector({
    ...common(sources, 'mtlscertificates'),
    resource: certificateResource,
    streams: true,
    transform: certificateRecord,
    store: certificates,
  });

function bundleReflectors(caches: Caches, sources: CacheSources) {
  const { clusterTrustBundles, configMaps } = caches;
  const inCluster = new OptionalReflector({
    ...common(sources, 'clustertrustbundles'),
    resource: clusterTrustBundleResource,
    labelSelector: trustSelector,
    transform: (object) => clusterTrustBundles.withChangeTime(inClusterTrustBundle.toRecord(object)),
    store: clusterTrustBundles.store,
    onServed: () => caches.publish('clusterTrustBundlesServed'),
  });
  caches.reflectors.clusterTrustBundles = inCluster;
  const inNamespaces = new Reflector({
    ...common(sources, 'configmaps'),
    resource: configMapResource,
    labelSelector: trustSelector,
    skipsLarge: true,
    transform: (object) => configMaps.withChangeTime(inConfigMap.toRecord(object)),
    store: configMaps.store,
  });
  return [inCluster, inNamespaces];
}

const secretReflector = ({ secrets, examiner }: Caches, sources: CacheSources) =>
  new Reflector({
    ...common(sources, 'secrets'),
    resource: secretResource,
    labelSelector: leafSecretSelector,
    skipsLarge: true,
    streams: true,
    transform: (secret) => examiner.read(secret),
    transformListed: (secret) => examiner.readInPool(secret),
    store: secrets,
  });

function passwordReflector(caches: Caches, sources: CacheSources) {
  const reflector = new Reflector({
    ...common(sources, 'secrets'),
    resource: secretResource,
    fieldSelector: passwordSelector,
    metadataOnly: true,
    transform: passwordMark,
    store: caches.passwords,
    onListed(count) {
      sources.onListed(count);
      caches.publish('passwordsListed');
    },
  });
  caches.reflectors.passwords = reflector;
  return reflector;
}

/** Resolves when a resource requests keystores, or the signal aborts. */
async function firstKeystore({ certificates }: Caches, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = (record: CertificateRecord | undefined): void => {
    if (record !== undefined && requestsKeystores(record)) resolve();
  };
  for (const record of certificates.values()) check(record);
  const unsubscribe = certificates.subscribe((_, after) => check(after));
  const stopListening = onAbort(signal, resolve);
  await promise;
  unsubscribe();
  stopListening();
}

/** False when a reflector was stopped before its first list. */
const allSynced = async (reflectors: ReadonlyArray<{ readonly synced: Promise<boolean> }>): Promise<boolean> =>
  (await Promise.all(reflectors.map(({ synced }) => synced))).every(Boolean);
