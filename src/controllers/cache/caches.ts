import { secretKeys } from '../../api/constants.ts';
import type { AdditionalRoots } from '../../api/types.ts';
import { keyOf, Store } from '../../kube/index.ts';
import type { Certificate } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  byAge,
  type CachedSecret,
  type CertificateRecord,
  type KeystorePassword,
  type KnownNamespace,
  leavesToRevoke,
  maxRequestsPerNamespace,
  type NamespaceRecord,
  type Owned,
  ownedBy,
  type Revocation,
  rolesOf,
  secretNameOf,
} from '../../plan/index.ts';
import { withChangeTime } from '../objects/leaf-secret.ts';
import { type PasswordMark, passwordVersion } from '../objects/password-secret.ts';
import {
  chosenSecretKeysOf,
  defaultSecretKeysOf,
  namesakeOf,
  ownerUnlessNamesake,
  secretKeysOf,
} from '../objects/secret-names.ts';
import { compactSecretForm } from './compact-secret.ts';
import { InjectionCache } from './injection-cache.ts';
import { PodCache } from './pod-cache.ts';
import { PodRequestCache } from './pod-request-cache.ts';
import { examined, SecretExaminer } from './secret-examiner.ts';
import { TrustCache } from './trust-cache.ts';
import { type WatchedKind, WatchedNamespaces } from './watched-namespaces.ts';

/** The existence and revision of a root Secret. Its data is read when it is needed, and is never cached. */
export interface RootSecretMark {
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

/** The kinds of objects that can be a source of additional roots. */
export type SourceKind = 'ConfigMap' | 'Secret';

/** The object and key that a source of additional roots names. */
export function sourceOf({ configMap, secret }: AdditionalRoots): {
  readonly kind: SourceKind;
  readonly name: string;
  readonly key: string;
} {
  const [kind, ref] = configMap === undefined ? (['Secret', secret] as const) : (['ConfigMap', configMap] as const);
  return { kind, name: ref?.name ?? '', key: ref?.key ?? secretKeys.bundle };
}

/** The index key of a source. */
const sourceKey = (kind: SourceKind, name: string): string => `${kind}/${name}`;

/**
 * `clusterTrustBundlesServed`: the API server starts or stops serving ClusterTrustBundles. `passwordsListed`: the Secrets that
 * may hold keystore passwords are listed. `accessChanged`: the operator may now read a kind in a watched namespace, or no longer.
 * `injectionChanged`: the same for a kind of object into which it injects roots. `podRequestsChanged`: the same for the requests of
 * pods.
 */
export type CacheChange =
  | 'clusterTrustBundlesServed'
  | 'passwordsListed'
  | 'accessChanged'
  | 'injectionChanged'
  | 'podRequestsChanged';
const watchedKinds: readonly WatchedKind[] = ['namespaces', 'mtlscertificates', 'secrets', 'configmaps'];

type CacheListener = (change: CacheChange) => void;

/** The caches of every replica, as records without key material. */
export class Caches {
  readonly authorities = new Store<AuthorityRecord, 'rootSecret' | 'source'>({
    indexes: {
      rootSecret: ({ spec }) => [spec.secretName],
      source: ({ spec }) => [
        ...new Set(
          (spec.trustBundle?.additional ?? []).map((source) => {
            const { kind, name } = sourceOf(source);
            return sourceKey(kind, name);
          }),
        ),
      ],
    },
  });
  readonly certificates = new Store<CertificateRecord, 'authority' | 'namespace' | 'secret' | 'password' | 'revoking'>({
    indexes: {
      revoking: (certificate) => (requestsRevocation(certificate) ? [certificate.spec.authorityRef.name] : []),
      password: (certificate) => passwordKeysOf(certificate),
      authority: ({ spec }) => [spec.authorityRef.name],
      namespace: ({ namespace }) => [namespace],
      secret: chosenSecretKeysOf,
    },
  });
  readonly secrets: Store<CachedSecret, 'owner'>;
  readonly examiner: SecretExaminer;
  readonly rootSecrets = new Store<RootSecretMark>();
  /** The ConfigMaps of the operator's namespace. Empty until an authority names one as a source of additional roots. */
  readonly sourceConfigMaps = new Store<RootSecretMark>();
  /** Empty until a resource requests keystores. Only then does the operator list Secrets that may hold a password. */
  readonly passwords = new Store<PasswordMark>();
  readonly namespaces = new Store<NamespaceRecord>();
  readonly configMaps: TrustCache;
  readonly clusterTrustBundles: TrustCache;
  readonly injections: InjectionCache;
  readonly podRequests: PodRequestCache;
  readonly pods: PodCache;
  /** The reflectors that Caches asks for their state. keepCaches sets them. */
  readonly reflectors: {
    clusterTrustBundles?: { readonly isServed: boolean | undefined };
    /** Whether the Secrets of a namespace that may hold passwords are listed. */
    hasPasswords?: (namespace: string) => boolean;
  } = {};
  readonly watched: WatchedNamespaces;
  readonly #listeners = new Set<CacheListener>();

  /** Whether the API server serves ClusterTrustBundles to this operator; undefined until that is known. */
  get servesClusterTrustBundles(): boolean | undefined {
    // Without a watch, the operator publishes none.
    return this.watched.names === undefined ? this.reflectors.clusterTrustBundles?.isServed : false;
  }

  /** A monotonic clock in milliseconds: all change times come from it, so that a step of the wall clock opens no gate. */
  readonly monotonicMs: () => number;

  /**
   * @param roots returns the roots that are known now and may have signed leaves
   * @param watched the namespaces to watch; default: all
   * @param injectCa whether the operator injects roots into webhooks, APIServices and CRDs
   * @param podCertificates whether the operator answers the requests of pods
   * @param podEvidence whether the operator watches pods
   */
  constructor(
    roots: () => readonly Certificate[],
    monotonicMs: () => number = () => performance.now(),
    watched?: readonly string[],
    injectCa = false,
    podCertificates = false,
    podEvidence = false,
  ) {
    this.monotonicMs = monotonicMs;
    this.watched = new WatchedNamespaces(watched, (namespace) => {
      this.#forgetIfGone(namespace);
      this.publish('accessChanged');
    });
    this.secrets = new Store({ form: compactSecretForm(roots), indexes: { owner: ownerUnlessNamesake } });
    this.examiner = new SecretExaminer(this, roots);
    this.configMaps = new TrustCache(monotonicMs);
    this.clusterTrustBundles = new TrustCache(monotonicMs);
    this.podRequests = new PodRequestCache(
      podCertificates,
      (namespace) => this.watched.names !== undefined && this.#isGone(namespace),
      (namespace) => {
        this.#forgetIfGone(namespace);
        this.publish('podRequestsChanged');
      },
    );
    this.injections = new InjectionCache(injectCa, monotonicMs, () => this.publish('injectionChanged'));
    this.pods = new PodCache(
      podEvidence,
      this.watched.names,
      (namespace) => this.#isGone(namespace),
      (namespace) => this.#forgetIfGone(namespace),
    );
    this.namespaces.subscribe((before, after) => {
      if (before === undefined && after !== undefined) this.watched.retry(after.name);
      if (before === undefined || after !== undefined) return;
      this.configMaps.forget(before.name);
      this.#forgetIfGone(before.name);
    });
    this.authorities.subscribe((before, after) => {
      if (before === undefined || before.uid === after?.uid) return;
      this.configMaps.forgetOwner(before.uid);
      this.clusterTrustBundles.forgetOwner(before.uid);
    });
  }

  /** Subscribes to changes that no single object reports. Returns a function that unsubscribes. */
  subscribe(listener: CacheListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls the subscribers. */
  publish(change: CacheChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** A namespace in which the operator handles objects; undefined if it does not exist or is not watched. */
  namespace(name: string): KnownNamespace | undefined {
    const record = this.namespaces.get(name);
    if (record === undefined && this.watched.access('namespaces', name) !== 'forbidden') return undefined;
    if (this.watched.access('configmaps', name) !== 'forbidden') return record ?? { name, terminating: false };
    return { name, terminating: false, ...record, configMapsForbidden: true };
  }

  /** All namespaces in which the operator handles objects. */
  *knownNamespaces(): IterableIterator<KnownNamespace> {
    const { names } = this.watched;
    if (names === undefined) yield* this.namespaces.values();
    else yield* names.flatMap((name) => this.namespace(name) ?? []);
  }

  /** What the operator may not read in the watched namespaces, except in namespaces that do not exist. */
  *unreadable(): IterableIterator<{ readonly namespace: string; readonly kind: WatchedKind }> {
    for (const namespace of this.watched.names ?? []) {
      if (this.#isGone(namespace)) continue;
      for (const kind of watchedKinds) {
        if (this.watched.access(kind, namespace) === 'forbidden') yield { namespace, kind };
      }
    }
  }

  /** True for a watched namespace that does not exist. */
  #isGone(namespace: string): boolean {
    return this.watched.access('namespaces', namespace) === 'permitted' && !this.namespaces.has(namespace);
  }

  /**
   * The rights in a namespace are often deleted before its other objects, so that their watches miss the end. Forgets the objects
   * of a namespace that is gone and whose kinds are not watched any more. A kind that is still watched stays: the namespace may
   * exist again already, and the watch of its objects may be ahead of the watch of the namespace.
   */
  #forgetIfGone(namespace: string): void {
    const { names } = this.watched;
    if (names === undefined || !this.#isGone(namespace)) return;
    const { certificates, secrets, passwords, configMaps, pods, podRequests } = this;
    const isForbidden = (kind: WatchedKind) => this.watched.access(kind, namespace) === 'forbidden';
    for (const cache of [pods, podRequests]) if (cache.isForbidden(namespace)) cache.store.part(namespace).clear();
    if (isForbidden('mtlscertificates')) certificates.part(namespace).clear();
    if (isForbidden('secrets')) for (const store of [secrets, passwords]) store.part(namespace).clear();
    if (isForbidden('configmaps')) {
      configMaps.store.part(namespace).clear();
      configMaps.forget(namespace);
    }
  }

  /** The authorities that name an object of the operator's namespace as a source of additional roots. */
  authoritiesWithSource(kind: SourceKind, name: string): readonly AuthorityRecord[] {
    return this.authorities.by('source', sourceKey(kind, name));
  }

  /** The resourceVersion of a possible source of additional roots; undefined if the caches have no such object. */
  sourceVersion(kind: SourceKind, ref: { readonly namespace: string; readonly name: string }): string | undefined {
    const store = kind === 'Secret' ? this.rootSecrets : this.sourceConfigMaps;
    return store.get(keyOf(ref))?.resourceVersion;
  }

  /** The resources that name a Secret. @param secretKey `namespace/name` */
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

  /** A Secret's record with the time of its last change: rotations wait until pods have loaded it. */
  withChangeTime<T extends CachedSecret>(record: T): T {
    return withChangeTime(record, this.secrets.get(keyOf(record)), this.monotonicMs());
  }

  /** The state of a resource's keystore password; undefined when it requests no keystores. */
  keystorePassword({ namespace, spec }: CertificateRecord): KeystorePassword | undefined {
    const ref = spec.outputs?.pkcs12?.passwordSecretRef;
    if (ref === undefined) return undefined;
    if (this.reflectors.hasPasswords?.(namespace) !== true) return { state: 'unknown' };
    const mark = this.passwords.get(keyOf({ namespace, name: ref.name }));
    return mark === undefined ? { state: 'missing' } : { state: 'found', version: passwordVersion(mark, ref.key) };
  }

  /**
   * The leaves of an authority whose revocation is requested. In each namespace the oldest resource comes first, because
   * requests have no date. Each namespace has about maxRequestsPerNamespace of them at most.
   */
  leavesToRevoke(authority: string, now: Date): Revocation[] {
    const byNamespace = Map.groupBy(this.certificates.by('revoking', authority), ({ namespace }) => namespace);
    return [...byNamespace.values()].flatMap((certificates) => {
      const leaves: Revocation[] = [];
      for (const certificate of certificates.toSorted(byAge)) {
        if (leaves.length >= maxRequestsPerNamespace) break;
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
}

/** The Secret with the keystore password of a resource, as `namespace/name`; empty when it requests no keystores. */
function passwordKeysOf({ namespace, spec }: CertificateRecord): string[] {
  const ref = spec.outputs?.pkcs12?.passwordSecretRef;
  return ref === undefined ? [] : [keyOf({ namespace, name: ref.name })];
}

/** True for an authority whose rotations wait for pods. */
export const requestsPodEvidence = ({ spec }: AuthorityRecord): boolean => spec.rotation?.podEvidence === true;

/** True for a resource that requests a keystore and a truststore. */
export const requestsKeystores = ({ spec }: CertificateRecord): boolean => spec.outputs?.pkcs12 !== undefined;

/** True for a resource with a `revoke` token that is not handled yet. */
export const requestsRevocation = ({ revokeToken, status }: CertificateRecord): boolean =>
  revokeToken !== undefined && revokeToken !== status.lastHandledRevoke;
