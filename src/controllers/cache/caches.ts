import {
  clusterTrustBundles as clusterTrustBundleResource,
  configMaps as configMapResource,
  type GuardedClient,
  keyOf,
  type Log,
  namespaces as namespaceResource,
  OptionalReflector,
  onAbort,
  Reflector,
  Store,
  secrets as secretResource,
} from '../../kube/index.ts';
import type { Certificate } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  byAge,
  type CachedSecret,
  type CertificateRecord,
  type KeystorePassword,
  leavesToRevoke,
  mostAsked,
  type NamespaceRecord,
  type Owned,
  ownedBy,
  type Revocation,
  rolesOf,
  secretNameOf,
} from '../../plan/index.ts';
import { dated, leafSecretSelector } from '../objects/leaf-secret.ts';
import { type PasswordMark, passwordMark, passwordSelector, passwordVersion } from '../objects/password-secret.ts';
import {
  authorityRecord,
  authorities as authorityResource,
  certificateRecord,
  certificates as certificateResource,
  namespaceRecord,
} from '../objects/resources.ts';
import {
  chosenSecretKeysOf,
  defaultSecretKeysOf,
  namesakeOf,
  ownerByNoName,
  secretKeysOf,
} from '../objects/secret-names.ts';
import { inClusterTrustBundle, inConfigMap, trustSelector } from '../objects/trust-objects.ts';
import { compactSecrets } from './compact-secret.ts';
import { examined, SecretExaminer } from './secret-examiner.ts';
import { TrustCache } from './trust-cache.ts';

/** A root Secret exists at a revision; what it holds is read when it is needed, and not kept. */
export interface RootSecretMark {
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

/** Where the caches are filled from. */
export interface CacheSources {
  readonly client: GuardedClient;
  /** Where root Secrets are. */
  readonly namespace: string;
  readonly log: Log;
  readonly onError: (resource: string, code: string) => void;
  /** Called when a collection was listed, the first time and every other, with the number of its objects. */
  readonly onListed: (count: number) => void;
  /** Called when the API server has come to serve ClusterTrustBundles, or has ceased to. */
  readonly onClusterTrustBundlesServed: () => void;
  /** Called when it is known which Secrets may hold passwords. */
  readonly onPasswordsListed: () => void;
}

/** What every replica knows of the cluster, as records without key material. */
export class Caches {
  readonly authorities = new Store<AuthorityRecord, 'rootSecret'>({
    indexes: { rootSecret: ({ spec }) => [spec.secretName] },
  });
  readonly certificates = new Store<CertificateRecord, 'authority' | 'namespace' | 'secret' | 'password' | 'revoking'>({
    indexes: {
      revoking: (certificate) => (asksToRevoke(certificate) ? [certificate.spec.authorityRef.name] : []),
      password: (certificate) => passwordKeysOf(certificate),
      authority: ({ spec }) => [spec.authorityRef.name],
      namespace: ({ namespace }) => [namespace],
      secret: chosenSecretKeysOf,
    },
  });
  readonly secrets: Store<CachedSecret, 'owner'>;
  readonly examiner: SecretExaminer;
  readonly rootSecrets = new Store<RootSecretMark>();
  /** Kept from the moment on when somebody wants stores: most clusters have many Secrets that are no concern of ours. */
  readonly passwords = new Store<PasswordMark>();
  readonly namespaces = new Store<NamespaceRecord>();
  readonly configMaps: TrustCache;
  readonly clusterTrustBundles: TrustCache;
  #clusterTrustBundleReflector: { readonly isServed: boolean | undefined } | undefined;
  #passwordReflector: { readonly hasSynced: boolean } | undefined;

  /** Whether the API server has ClusterTrustBundles; undefined until that is known. */
  get servesClusterTrustBundles(): boolean | undefined {
    return this.#clusterTrustBundleReflector?.isServed;
  }

  /** Milliseconds of a clock that only goes forward, see Evidence. */
  readonly monotonicMs: () => number;

  /** @param roots the roots that may have signed leaves, as far as they are known now */
  constructor(roots: () => readonly Certificate[], monotonicMs: () => number = () => performance.now()) {
    this.monotonicMs = monotonicMs;
    this.secrets = new Store({ form: compactSecrets(roots), indexes: { owner: ownerByNoName } });
    this.examiner = new SecretExaminer(this, roots);
    this.configMaps = new TrustCache(monotonicMs);
    this.clusterTrustBundles = new TrustCache(monotonicMs);
    this.namespaces.subscribe((before, after) => {
      if (before !== undefined && after === undefined) this.configMaps.forget(before.name);
    });
    this.authorities.subscribe((before, after) => {
      if (before === undefined || before.uid === after?.uid) return;
      this.configMaps.forgetOwner(before.uid);
      this.clusterTrustBundles.forgetOwner(before.uid);
    });
  }

  /** The resources that name a Secret, `namespace/name`. */
  claimants(secretKey: string): CertificateRecord[] {
    const chosen = this.certificates.by('secret', secretKey);
    const namesake = this.certificates.get(namesakeOf(secretKey) ?? '');
    const isOneMore = namesake !== undefined && !chosen.includes(namesake);
    return isOneMore && secretKeysOf(namesake).includes(secretKey) ? [...chosen, namesake] : chosen;
  }

  /** The Secrets that a resource owns. */
  secretsOf(certificate: CertificateRecord): Array<CachedSecret & Owned> {
    const namesakes = defaultSecretKeysOf(certificate).flatMap((key) => this.secrets.get(key) ?? []);
    const others = this.secrets.by('owner', keyOf(certificate));
    const known = new Set(others.map(({ name }) => name));
    return [...namesakes.filter(({ name }) => !known.has(name)), ...others].flatMap(
      (secret) => ownedBy(secret, certificate) ?? [],
    );
  }

  /** A Secret's record with the moment from which on it has been as it is, for those who wait for pods to load it. */
  dated<T extends CachedSecret>(record: T): T {
    return dated(record, this.secrets.get(keyOf(record)), this.monotonicMs());
  }

  /** The password of the stores of a resource; undefined when it asks for none. */
  keystorePassword({ namespace, spec }: CertificateRecord): KeystorePassword | undefined {
    const ref = spec.outputs?.pkcs12?.passwordSecretRef;
    if (ref === undefined) return undefined;
    if (this.#passwordReflector?.hasSynced !== true) return { state: 'unknown' };
    const mark = this.passwords.get(keyOf({ namespace, name: ref.name }));
    return mark === undefined ? { state: 'missing' } : { state: 'found', version: passwordVersion(mark, ref.key) };
  }

  /**
   * The leaves of an authority that are to be revoked: those of the oldest resource of a namespace first, since requests
   * have no date. Of one namespace there are not many more than mostAsked.
   */
  leavesToRevoke(authority: string, now: Date): Revocation[] {
    const byNamespace = Map.groupBy(this.certificates.by('revoking', authority), ({ namespace }) => namespace);
    return [...byNamespace.values()].flatMap((certificates) => {
      const leaves: Revocation[] = [];
      for (const certificate of certificates.toSorted(byAge)) {
        if (leaves.length >= mostAsked) break;
        leaves.push(...this.#leavesToRevoke(certificate, now));
      }
      return leaves;
    });
  }

  #leavesToRevoke(certificate: CertificateRecord, now: Date): Revocation[] {
    const { namespace, name, spec } = certificate;
    return rolesOf(spec).flatMap((role) => {
      const secret = this.secrets.get(keyOf({ namespace, name: secretNameOf(name, spec, role) }));
      return leavesToRevoke(certificate, role, examined(secret), now);
    });
  }

  /**
   * Fills all caches and keeps them until the signal aborts. Roots and MtlsCertificates come before Secrets: a leaf is judged
   * when its Secret is read, and is not kept to be judged again; and whose Secret it can be has to be known by then.
   * @param afterRoots called in between, to have the roots looked at
   * @param afterAll called when everything is there
   */
  async keep(
    sources: CacheSources,
    signal: AbortSignal,
    afterRoots: () => Promise<void>,
    afterAll: () => void,
  ): Promise<void> {
    const { client, namespace, log, onError, onListed, onClusterTrustBundlesServed, onPasswordsListed } = sources;
    const common = (resource: string) => ({
      client,
      log,
      onListed,
      onError: (code: string) => onError(resource, code),
    });
    const first = [
      new Reflector({
        ...common('mtlsauthorities'),
        resource: authorityResource,
        transform: authorityRecord,
        store: this.authorities,
      }),
      new Reflector({
        ...common('secrets'),
        resource: secretResource,
        namespace,
        metadataOnly: true,
        transform: ({ metadata }) => ({ namespace, name: metadata.name, resourceVersion: metadata.resourceVersion }),
        store: this.rootSecrets,
      }),
      new Reflector({
        ...common('namespaces'),
        resource: namespaceResource,
        metadataOnly: true,
        transform: namespaceRecord,
        store: this.namespaces,
      }),
    ];
    const certificates = new Reflector({
      ...common('mtlscertificates'),
      resource: certificateResource,
      streams: true,
      transform: certificateRecord,
      store: this.certificates,
    });
    const running = [...first, certificates].map((reflector) => reflector.run(signal));
    if (!(await allSynced(first))) {
      // The signal has aborted: nothing else is begun.
      await Promise.all(running);
      return;
    }
    await afterRoots();
    const clusterTrustBundles = new OptionalReflector({
      ...common('clustertrustbundles'),
      resource: clusterTrustBundleResource,
      labelSelector: trustSelector,
      transform: (object) => this.clusterTrustBundles.dated(inClusterTrustBundle.toRecord(object)),
      store: this.clusterTrustBundles.store,
      onServed: onClusterTrustBundlesServed,
    });
    this.#clusterTrustBundleReflector = clusterTrustBundles;
    const second = [
      clusterTrustBundles,
      new Reflector({
        ...common('configmaps'),
        resource: configMapResource,
        labelSelector: trustSelector,
        skipsLarge: true,
        transform: (object) => this.configMaps.dated(inConfigMap.toRecord(object)),
        store: this.configMaps.store,
      }),
    ];
    running.push(...second.map((reflector) => reflector.run(signal)));
    const secrets = new Reflector({
      ...common('secrets'),
      resource: secretResource,
      labelSelector: leafSecretSelector,
      skipsLarge: true,
      streams: true,
      transform: (secret) => this.examiner.read(secret),
      transformListed: (secret) => this.examiner.readAhead(secret),
      store: this.secrets,
    });
    running.push(certificates.synced.then((isSynced) => (isSynced ? secrets.run(signal) : undefined)));
    const passwords = new Reflector({
      ...common('secrets'),
      resource: secretResource,
      fieldSelector: passwordSelector,
      metadataOnly: true,
      transform: passwordMark,
      store: this.passwords,
      onListed(count) {
        onListed(count);
        onPasswordsListed();
      },
    });
    running.push(this.#storesAreWanted(signal).then(() => passwords.run(signal)));
    this.#passwordReflector = passwords;
    if ((await certificates.synced) && (await allSynced([...second, secrets]))) {
      this.configMaps.beginWith(this.namespaces.keys());
      afterAll();
    }
    await Promise.all(running);
  }

  /** Resolves when a resource asks for stores, or the signal aborts. */
  async #storesAreWanted(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (record: CertificateRecord | undefined): void => {
      if (record !== undefined && asksForKeystores(record)) resolve();
    };
    for (const record of this.certificates.values()) look(record);
    const unsubscribe = this.certificates.subscribe((_, after) => look(after));
    const stopListening = onAbort(signal, resolve);
    await promise;
    unsubscribe();
    stopListening();
  }
}

/** The Secret that holds the password of a resource's stores, as `namespace/name`; none when it asks for none. */
function passwordKeysOf({ namespace, spec }: CertificateRecord): string[] {
  const ref = spec.outputs?.pkcs12?.passwordSecretRef;
  return ref === undefined ? [] : [keyOf({ namespace, name: ref.name })];
}

/** True for a resource that asks for key stores and trust stores. */
export const asksForKeystores = ({ spec }: CertificateRecord): boolean => spec.outputs?.pkcs12 !== undefined;

/** True for a resource with a token of revocation that it has not answered yet. */
export const asksToRevoke = ({ revokeToken, status }: CertificateRecord): boolean =>
  revokeToken !== undefined && revokeToken !== status.lastHandledRevoke;

/** False when a reflector was stopped before it had listed. */
const allSynced = async (reflectors: ReadonlyArray<{ readonly synced: Promise<boolean> }>): Promise<boolean> =>
  (await Promise.all(reflectors.map(({ synced }) => synced))).every(Boolean);
