import {
  type ConfigMap,
  clusterTrustBundles as clusterTrustBundleResource,
  configMaps as configMapResource,
  type GuardedClient,
  type KubeObject,
  type Log,
  namespaces as namespaceResource,
  OptionalReflector,
  onAbort,
  PermittedReflector,
  type PodCertificateRequest,
  podCertificateRequests as podRequestResource,
  pods as podResource,
  Reflector,
  type ReflectorOptions,
  type Store,
  type StoreRecord,
  secrets as secretResource,
} from '../../kube/index.ts';
import { type AuthorityRecord, injectionKinds, type PodRequestRecord } from '../../plan/index.ts';
import { injectedKinds, injectionRecord } from '../objects/injection-objects.ts';
import { leafSecretSelector } from '../objects/leaf-secret.ts';
import { passwordMark, passwordSelector } from '../objects/password-secret.ts';
import { podRequestRecord } from '../objects/pod-objects.ts';
import {
  authorityRecord,
  authorities as authorityResource,
  certificateRecord,
  certificates as certificateResource,
  namespaceRecord,
} from '../objects/resources.ts';
import { podRecord, runningPodSelector } from '../objects/running-pod.ts';
import { inClusterTrustBundle, inConfigMap, trustSelector } from '../objects/trust-objects.ts';
import { type Caches, requestsKeystores, requestsPodEvidence, type RootSecretMark as SourceMark } from './caches.ts';
import type { WatchedKind } from './watched-namespaces.ts';

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
  const certificates = certificateReflectors(caches, sources);
  const running: Promise<unknown>[] = [runAll([...roots, ...certificates], signal)];
  if (!(await allSynced(roots))) {
    // The signal has aborted.
    await Promise.all(running);
    return;
  }
  await afterRoots();
  const bundles = [...bundleReflectors(caches, sources), ...injectionReflectors(caches, sources)];
  running.push(runAll(bundles, signal));
  const secrets = secretReflectors(caches, sources);
  running.push(allSynced(certificates).then((areSynced) => (areSynced ? runAll(secrets, signal) : undefined)));
  const passwords = passwordReflectors(caches, sources);
  running.push(first(caches.certificates, requestsKeystores, signal).then(() => runAll(passwords, signal)));
  const podRequests = podRequestReflectors(caches, sources);
  running.push(first(caches.authorities, isPodSigner, signal).then(() => runAll(podRequests, signal)));
  const configMaps = sourceReflector(caches, sources);
  running.push(first(caches.authorities, namesSourceConfigMap, signal).then(() => configMaps.run(signal)));
  const pods = podReflectors(caches, sources);
  running.push(first(caches.authorities, requestsPodEvidence, signal).then(() => runAll(pods, signal)));
  if ((await allSynced(certificates)) && (await allSynced([...bundles, ...secrets]))) {
    caches.configMaps.noteNamespaces([...caches.knownNamespaces()].map(({ name }) => name));
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

/** A Reflector, an OptionalReflector or a PermittedReflector. */
interface Keeper {
  readonly synced: Promise<boolean>;
  run(signal: AbortSignal): Promise<void>;
}

/**
 * One reflector for all namespaces, or one for each watched namespace, which fills its part of the store.
 * @param kind names the right in WatchedNamespaces; absent if another reflector needs the same right
 */
function perNamespace<T extends KubeObject, R extends StoreRecord>(
  { watched }: Caches,
  options: Omit<ReflectorOptions<T, R>, 'store' | 'namespace'>,
  store: Pick<Store<R>, 'part'> & ReflectorOptions<T, R>['store'],
  kind?: WatchedKind,
): Array<Keeper & { readonly hasSynced: boolean }> {
  if (watched.names === undefined) return [new Reflector({ ...options, store })];
  return watched.names.map((name) => {
    const reflector = new PermittedReflector({
      ...options,
      // RBAC permits a list by name with the resourceNames of a rule.
      ...(options.resource.namespaced ? { namespace: name } : { fieldSelector: `metadata.name=${name}` }),
      store: store.part(name),
      ...(kind === undefined ? {} : { onPermitted: (isPermitted) => watched.note(kind, name, isPermitted) }),
    });
    watched.onRetry(name, () => reflector.retry());
    return reflector;
  });
}

const rootReflectors = (caches: Caches, sources: CacheSources): Keeper[] => [
  new Reflector({
    ...common(sources, 'mtlsauthorities'),
    resource: authorityResource,
    transform: authorityRecord,
    store: caches.authorities,
  }),
  new Reflector({
    ...common(sources, 'secrets'),
    resource: secretResource,
    namespace: sources.namespace,
    metadataOnly: true,
    transform: ({ metadata: { name, resourceVersion } }) => ({ namespace: sources.namespace, name, resourceVersion }),
    store: caches.rootSecrets,
  }),
  ...perNamespace(
    caches,
    {
      ...common(sources, 'namespaces'),
      resource: namespaceResource,
      metadataOnly: true,
      transform: namespaceRecord,
    },
    caches.namespaces,
    'namespaces',
  ),
];

const certificateReflectors = (caches: Caches, sources: CacheSources): Keeper[] =>
  perNamespace(
    caches,
    {
      ...common(sources, 'mtlscertificates'),
      resource: certificateResource,
      streams: true,
      transform: certificateRecord,
    },
    caches.certificates,
    'mtlscertificates',
  );

function bundleReflectors(caches: Caches, sources: CacheSources): Keeper[] {
  const { configMaps, watched } = caches;
  const inNamespaces = perNamespace(
    caches,
    {
      ...common(sources, 'configmaps'),
      resource: configMapResource,
      labelSelector: trustSelector,
      skipsLarge: true,
      transform: (object) => configMaps.withChangeTime(inConfigMap.toRecord(object)),
    },
    configMaps.store,
    'configmaps',
  );
  // The rights of an operator that watches some namespaces end at these namespaces.
  return watched.names === undefined ? [clusterTrustBundleReflector(caches, sources), ...inNamespaces] : inNamespaces;
}

/** The objects are cluster-scoped: --watch-namespaces does not change what the operator may read of them. */
const injectionReflectors = ({ injections }: Caches, sources: CacheSources): Keeper[] =>
  (injections.isOn ? injectionKinds : []).map((kind) => {
    const { resource } = injectedKinds[kind];
    return new PermittedReflector({
      ...common(sources, resource.plural),
      resource,
      metadataOnly: true,
      transform: (object) => injections.withKnown(injectionRecord(kind, object)),
      store: injections.store(kind),
      onPermitted: (isPermitted) => injections.notePermission(kind, isPermitted),
    });
  });

function clusterTrustBundleReflector(caches: Caches, sources: CacheSources): Keeper {
  const { clusterTrustBundles } = caches;
  const reflector = new OptionalReflector({
    ...common(sources, 'clustertrustbundles'),
    resource: clusterTrustBundleResource,
    labelSelector: trustSelector,
    transform: (object) => clusterTrustBundles.withChangeTime(inClusterTrustBundle.toRecord(object)),
    store: clusterTrustBundles.store,
    onServed: () => caches.publish('clusterTrustBundlesServed'),
  });
  caches.reflectors.clusterTrustBundles = reflector;
  return reflector;
}

const secretReflectors = (caches: Caches, sources: CacheSources): Keeper[] => {
  const { secrets, examiner } = caches;
  return perNamespace(
    caches,
    {
      ...common(sources, 'secrets'),
      resource: secretResource,
      labelSelector: leafSecretSelector,
      skipsLarge: true,
      streams: true,
      transform: (secret) => examiner.read(secret),
      transformListed: (secret) => examiner.readInPool(secret),
    },
    secrets,
    'secrets',
  );
};

function passwordReflectors(caches: Caches, sources: CacheSources): Keeper[] {
  const { watched } = caches;
  const reflectors = perNamespace(
    caches,
    {
      ...common(sources, 'secrets'),
      resource: secretResource,
      fieldSelector: passwordSelector,
      metadataOnly: true,
      transform: passwordMark,
      onListed(count) {
        sources.onListed(count);
        caches.publish('passwordsListed');
      },
    },
    caches.passwords,
  );
  caches.reflectors.hasPasswords = (namespace) => {
    const index = watched.names?.indexOf(namespace) ?? 0;
    return reflectors[index]?.hasSynced === true;
  };
  return reflectors;
}

/** One reflector for all namespaces, or one for each watched namespace. They start when an authority is a signer for pods. */
function podRequestReflectors({ podRequests, watched }: Caches, sources: CacheSources): Keeper[] {
  const { store, isOn } = podRequests;
  const names = watched.names ?? [undefined];
  return (isOn ? names : []).map((namespace) => {
    const part = namespace ?? '';
    const reflector = new PermittedReflector<PodCertificateRequest, PodRequestRecord>({
      ...common(sources, 'podcertificaterequests'),
      resource: podRequestResource,
      namespace,
      skipsLarge: true,
      streams: true,
      transform: podRequestRecord,
      store: namespace === undefined ? store : store.part(namespace),
      onListed(count) {
        sources.onListed(count);
        podRequests.note(part, 'permitted');
      },
      onError(code) {
        sources.onError('podcertificaterequests', code);
        if (code === 'NotFound') podRequests.note(part, 'unserved');
      },
      onPermitted: (isPermitted) => podRequests.note(part, isPermitted ? 'permitted' : 'forbidden'),
    });
    if (namespace !== undefined) watched.onRetry(namespace, () => reflector.retry());
    return reflector;
  });
}

const isPodSigner = ({ spec }: AuthorityRecord): boolean => spec.podCertificates !== undefined;

/** A pod has no fields that the operator needs after it has finished, and before it has a node. */
function podReflectors(caches: Caches, sources: CacheSources): Keeper[] {
  const { pods, watched } = caches;
  if (!pods.isOn) return [];
  const reflectors = new Map(
    (watched.names ?? ['']).map((name) => {
      const reflector = new PermittedReflector({
        ...common(sources, 'pods'),
        resource: podResource,
        ...(name === '' ? {} : { namespace: name }),
        fieldSelector: runningPodSelector,
        skipsLarge: true,
        streams: true,
        transform: podRecord,
        store: name === '' ? pods.store : pods.store.part(name),
        onPermitted: (isPermitted) => pods.notePermission(name, isPermitted),
      });
      if (name !== '') watched.onRetry(name, () => reflector.retry());
      return [name, reflector] as const;
    }),
  );
  pods.follow((name) => reflectors.get(name)?.hasSynced === true);
  return [...reflectors.values()];
}

/** Only reports changes: the authority's reconcile reads a source itself, also before the first list. */
function sourceReflector(caches: Caches, sources: CacheSources): Keeper {
  const { namespace } = sources;
  const reflector = new PermittedReflector<ConfigMap, SourceMark>({
    ...common(sources, 'configmaps'),
    resource: configMapResource,
    namespace,
    metadataOnly: true,
    transform: ({ metadata: { name, resourceVersion } }) => ({
      namespace,
      name,
      resourceVersion: resourceVersion ?? '',
    }),
    store: caches.sourceConfigMaps,
  });
  caches.watched.onRetry(namespace, () => reflector.retry());
  return reflector;
}

const namesSourceConfigMap = ({ spec }: AuthorityRecord): boolean =>
  spec.trustBundle?.additional?.some(({ configMap }) => configMap !== undefined) === true;

/** Resolves when a store has a record with this property, or the signal aborts. */
async function first<R extends StoreRecord>(
  store: Pick<Store<R>, 'values' | 'subscribe'>,
  isWanted: (record: R) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = (record: R | undefined): void => {
    if (record !== undefined && isWanted(record)) resolve();
  };
  for (const record of store.values()) check(record);
  const unsubscribe = store.subscribe((_, after) => check(after));
  const stopListening = onAbort(signal, resolve);
  await promise;
  unsubscribe();
  stopListening();
}

const runAll = (reflectors: readonly Keeper[], signal: AbortSignal): Promise<unknown> =>
  Promise.all(reflectors.map((reflector) => reflector.run(signal)));

/** False when a reflector was stopped before its first list. */
const allSynced = async (reflectors: readonly Keeper[]): Promise<boolean> =>
  (await Promise.all(reflectors.map(({ synced }) => synced))).every(Boolean);
