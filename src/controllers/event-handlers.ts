import { keyOf, type WorkQueue } from '../kube/index.ts';
import type { CachedSecret } from '../plan/index.ts';
import {
  type AuthorityRecord,
  type CertificateRecord,
  crlIntervalMs,
  type InjectionRecord,
  type NamespaceRecord,
  type PodRequestRecord,
  selects,
  type TrustRecord,
} from '../plan/index.ts';
import type { AuthorityChange } from './cache/authority-states.ts';
import type { CacheChange } from './cache/caches.ts';
import { type Caches, requestsKeystores, requestsRevocation, type SourceKind } from './cache/caches.ts';
import { injectionKey } from './objects/injection-objects.ts';
import { podRequestKey } from './objects/pod-objects.ts';
import { isSameJson } from './objects/same-json.ts';
import { secretKeysOf } from './objects/secret-names.ts';
import { trustKey } from './objects/trust-key.ts';

/** The queues of the controllers. */
export interface Queues {
  readonly authority: WorkQueue;
  readonly certificate: WorkQueue;
  /** Targets of trust bundles, see trustKey. */
  readonly trust: WorkQueue;
  /** PodCertificateRequests, see podRequestKey. */
  readonly pods: WorkQueue;
}

/** Delay before an authority counts its certificates again. Only people read `status.certificates`, so it may lag. */
const countDelayMs = 5000;

/** Certificates for pods that need a longer record of the root Secret wait at most so long, unless they are the first. */
const podLeavesIntervalMs = 1000;

/** Delay before an authority reports its published bundles: one status write then covers many targets. */
const trustDelayMs = 1000;

/**
 * Maps each change in the caches to keys in the queues. A key names the object to reconcile, never the event: a reconcile reads
 * the current state. ARCHITECTURE.md has the map as a table.
 */
export class EventHandlers {
  readonly #caches: Caches;
  readonly #queues: Queues;
  readonly #unsubscribe: ReadonlyArray<() => void>;
  /**
   * By name of authority, in monotonic milliseconds: the last reconcile that was queued for a request to revoke. It may lie in
   * the future.
   */
  readonly #crlReads = new Map<string, number>();
  /** By name of authority, in monotonic milliseconds: as #crlReads, for requests to record how long certificates of pods are valid. */
  readonly #podLeafReads = new Map<string, number>();

  constructor(caches: Caches, queues: Queues) {
    this.#caches = caches;
    this.#queues = queues;
    const { authorities, rootSecrets, sourceConfigMaps, certificates, secrets, passwords } = caches;
    const { namespaces, configMaps, clusterTrustBundles } = caches;
    this.#unsubscribe = [
      authorities.subscribe((before, after) => this.#onAuthority(before, after)),
      rootSecrets.subscribe((before, after) => this.#onRootSecret((after ?? before)?.name ?? '')),
      sourceConfigMaps.subscribe((before, after) => this.#onSource('ConfigMap', (after ?? before)?.name ?? '')),
      certificates.subscribe((before, after) => this.#onCertificate(before, after)),
      secrets.subscribe((before, after) => this.#onSecret(before, after)),
      passwords.subscribe((before, after) => this.#onPassword(keyOf(after ?? before ?? { name: '' }))),
      namespaces.subscribe((before, after) => this.#onNamespace(before, after)),
      configMaps.store.subscribe((before, after) => this.#onConfigMap(before, after)),
      clusterTrustBundles.store.subscribe((before, after) => this.#onClusterTrustBundle(before, after)),
      caches.injections.subscribe((before, after) => this.#onInjection(before, after)),
      caches.podRequests.store.subscribe((_, after) => this.#onPodRequest(after)),
      caches.subscribe((change) => this.#onCacheChange(change)),
    ];
  }

  /** Unsubscribes from the caches: later events queue nothing. */
  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #onAuthority(before: AuthorityRecord | undefined, after: AuthorityRecord | undefined): void {
    const { name } = after ?? before ?? { name: '' };
    if (after === undefined) for (const reads of [this.#crlReads, this.#podLeafReads]) reads.delete(name);
    this.#queues.authority.add(name);
    if (!isSameJson(rulesIn(before), rulesIn(after))) this.usersOf(name);
    if (!isSameJson(publishingOf(before), publishingOf(after))) this.trustOf(name);
    if (!isSameJson(podRulesIn(before), podRulesIn(after))) this.podRequestsOf(name);
  }

  #onRootSecret(secretName: string): void {
    for (const { name } of this.#caches.authorities.by('rootSecret', secretName)) this.#queues.authority.add(name);
    this.#onSource('Secret', secretName);
  }

  #onSource(kind: SourceKind, name: string): void {
    for (const one of this.#caches.authoritiesWithSource(kind, name)) this.#queues.authority.add(one.name);
  }

  #onCertificate(before: CertificateRecord | undefined, after: CertificateRecord | undefined): void {
    this.#queues.certificate.add(keyOf(after ?? before ?? { name: '' }));
    if (!isSameClaim(before, after)) for (const record of [before, after]) this.#claimChanged(record);
    if (after !== undefined && requestsRevocation(after) && after.revokeToken !== before?.revokeToken) {
      this.crlAwaited(after.spec.authorityRef.name);
    }
  }

  #onSecret(before: CachedSecret | undefined, after: CachedSecret | undefined): void {
    for (const record of [before, after]) {
      if (record?.ownerName === undefined) continue;
      this.#queues.certificate.add(keyOf({ namespace: record.namespace, name: record.ownerName }));
    }
    const createdOrDeleted = before === undefined ? after : after === undefined ? before : undefined;
    if (createdOrDeleted !== undefined) this.#claimantsOf(keyOf(createdOrDeleted));
  }

  #onPassword(secretKey: string): void {
    for (const record of this.#caches.certificates.by('password', secretKey))
      this.#queues.certificate.add(keyOf(record));
  }

  #onNamespace(before: NamespaceRecord | undefined, after: NamespaceRecord | undefined): void {
    const isSelectedAlike = before?.terminating === after?.terminating && isSameJson(before?.labels, after?.labels);
    if (isSelectedAlike) return;
    this.#labelsChanged(before, after);
    for (const request of this.#caches.podRequests.store.by('namespace', (after ?? before)?.name ?? ''))
      this.#onPodRequest(request);
    const { name: namespace } = after ?? before ?? { name: '' };
    for (const { name, spec } of this.#caches.authorities.values()) {
      if (spec.trustBundle?.configMap !== undefined) this.#queues.trust.add(trustKey(name, namespace));
    }
  }

  #onConfigMap(before: TrustRecord | undefined, after: TrustRecord | undefined): void {
    for (const record of [before, after]) {
      if (record === undefined) continue;
      this.#publisherOf(record);
      // Authorities that publish under this name: it may have become free, or another client may have taken it.
      for (const { name, spec } of this.#caches.authorities.values()) {
        if (spec.trustBundle?.configMap?.name === record.name) {
          this.#queues.trust.add(trustKey(name, record.namespace));
        }
      }
    }
  }

  #onClusterTrustBundle(before: TrustRecord | undefined, after: TrustRecord | undefined): void {
    for (const record of [before, after]) if (record !== undefined) this.#publisherOf(record);
  }

  #onInjection(before: InjectionRecord | undefined, after: InjectionRecord | undefined): void {
    const record = after ?? before;
    if (record === undefined || (before?.request === undefined && after?.request === undefined)) return;
    this.#queues.trust.add(injectionKey(record.kind, record.name));
    for (const authority of new Set([before?.request?.authority, after?.request?.authority]))
      if (authority !== undefined && this.#caches.authorities.has(authority)) this.trustChanged(authority);
  }

  /** A request that is gone needs no answer. */
  #onPodRequest(request: PodRequestRecord | undefined): void {
    if (request !== undefined) this.#queues.pods.add(podRequestKey(request));
  }

  #onCacheChange(change: CacheChange): void {
    if (change === 'podRequestsChanged') {
      for (const { name, spec } of this.#caches.authorities.values())
        if (spec.podCertificates !== undefined) this.#queues.authority.add(name);
      return;
    }
    if (change === 'injectionChanged') {
      for (const name of this.#caches.authorities.keys()) this.trustChanged(name);
      return;
    }
    if (change === 'passwordsListed') this.usersOfPasswords();
    else if (change === 'accessChanged') this.all();
    else this.clusterTrustBundles();
  }

  /** Adds every object. Certificates go into the background, so that a certificate that changes now does not wait for the rest. */
  all(): void {
    const { authorities, certificates } = this.#caches;
    for (const name of authorities.keys()) this.#queues.authority.add(name);
    this.#queues.certificate.putOff();
    for (const key of certificates.keys()) this.#queues.certificate.addInBackground(key);
    for (const name of authorities.keys()) this.trustOf(name);
    for (const request of this.#caches.podRequests.store.values()) this.#onPodRequest(request);
  }

  /** Adds the targets to which an authority publishes its bundle, and the targets that still hold one from earlier. */
  trustOf(name: string): void {
    const { authorities, configMaps, injections } = this.#caches;
    for (const { kind, name: object } of injections.of(name)) this.#queues.trust.add(injectionKey(kind, object));
    const authority = authorities.get(name);
    if (authority === undefined) return;
    const { trust } = this.#queues;
    trust.add(trustKey(name, ''));
    if (authority.spec.trustBundle?.configMap !== undefined) {
      for (const namespace of this.#caches.knownNamespaces()) trust.add(trustKey(name, namespace.name));
    } else {
      for (const { owner, namespace } of configMaps.store.values()) {
        if (owner === authority.uid) trust.add(trustKey(name, namespace));
      }
    }
  }

  /** Adds the ClusterTrustBundle of every authority. */
  clusterTrustBundles(): void {
    for (const name of this.#caches.authorities.keys()) this.#queues.trust.add(trustKey(name, ''));
  }

  /** The root, bundle, CRLs or pod leaves of an authority changed: adds the keys that depend on them. */
  authorityChanged(authority: string, change: AuthorityChange): void {
    if (change === 'crl') {
      this.crlChanged(authority);
      return;
    }
    if (change === 'podLeaves') {
      this.podRequestsOf(authority);
      return;
    }
    this.usersOf(authority);
    this.trustOf(authority);
    this.podRequestsOf(authority);
  }

  /** Adds the requests of pods to an authority. */
  podRequestsOf(authority: string): void {
    for (const request of this.#caches.podRequests.store.by('authority', authority)) this.#onPodRequest(request);
  }

  /** Status should report the certificates of pods after a delay. */
  podReportDue(authority: string, delayMs: number): void {
    this.#queues.authority.addAfter(authority, delayMs);
  }

  /** The CRLs of an authority changed: adds the certificates that use or await them, and the targets that publish them. */
  crlChanged(authority: string): void {
    for (const record of this.#caches.certificates.by('authority', authority)) {
      if (requestsRevocation(record) || record.spec.outputs?.crl === true) this.#queues.certificate.add(keyOf(record));
    }
    this.trustOf(authority);
  }

  /**
   * A certificate waits until it is on the CRL of an authority. The first request queues the authority at once, later requests
   * after a pause: each reconcile reads the root Secret, and any user can request as often as they like.
   */
  crlAwaited(authority: string): void {
    this.#addAtIntervals(authority, this.#crlReads, crlIntervalMs);
  }

  /**
   * Certificates for pods wait until the root Secret of an authority records how long they are valid. As for CRLs, later requests are
   * queued after a pause: a user decides how long the certificates of their pods are valid.
   */
  podLeavesAwaited(authority: string): void {
    this.#addAtIntervals(authority, this.#podLeafReads, podLeavesIntervalMs);
  }

  #addAtIntervals(authority: string, reads: Map<string, number>, intervalMs: number): void {
    const nowMs = this.#caches.monotonicMs();
    const knownMs = reads.get(authority) ?? Number.NEGATIVE_INFINITY;
    const nextMs = knownMs > nowMs ? knownMs : Math.max(nowMs, knownMs + intervalMs);
    reads.set(authority, nextMs);
    // Add the key even if this time is already set: the queue may have replaced it by an earlier time, which has passed.
    this.#queues.authority.addAfter(authority, nextMs - nowMs);
  }

  /** Adds the certificates that request keystores. */
  usersOfPasswords(): void {
    for (const record of this.#caches.certificates.values()) {
      if (requestsKeystores(record)) this.#queues.certificate.add(keyOf(record));
    }
  }

  /** Publishing to a target ended: adds the authority, because its status reports the outcome. */
  trustChanged(authority: string): void {
    this.#queues.authority.addAfter(authority, trustDelayMs);
  }

  /** Adds the certificates of an authority in the background: a resource that changes meanwhile overtakes most of them. */
  usersOf(authority: string): void {
    for (const record of this.#caches.certificates.by('authority', authority)) {
      this.#queues.certificate.addInBackground(keyOf(record));
    }
  }

  /** When the labels of a namespace change: adds its certificates if a selector of their authority now gives another answer. */
  #labelsChanged(before: NamespaceRecord | undefined, after: NamespaceRecord | undefined): void {
    // The certificates in a deleted namespace are deleted too: the watch reports each of them.
    if (after === undefined) return;
    const isAffected = new Map<string, boolean>();
    for (const record of this.#caches.certificates.by('namespace', after.name)) {
      const authority = record.spec.authorityRef.name;
      const known = isAffected.get(authority) ?? this.#issuanceDiffers(authority, before, after);
      isAffected.set(authority, known);
      if (known) this.#queues.certificate.add(keyOf(record));
    }
  }

  #issuanceDiffers(authority: string, before: NamespaceRecord | undefined, after: NamespaceRecord): boolean {
    // The namespace was not cached yet: its certificates may wait for its labels.
    if (before === undefined) return true;
    const { namespaceSelector, allow = [] } = this.#caches.authorities.get(authority)?.spec.issuance ?? {};
    const selectors = [namespaceSelector, ...allow.map((grant) => grant.namespaceSelector)];
    return selectors.some((selector) => selects(selector, before.labels) !== selects(selector, after.labels));
  }

  /** The claims of a resource changed: other claimants may win or lose a Secret name, and the authority counts its users again. */
  #claimChanged(record: CertificateRecord | undefined): void {
    if (record === undefined) return;
    for (const secretKey of secretKeysOf(record)) this.#claimantsOf(secretKey);
    this.#queues.authority.addAfter(record.spec.authorityRef.name, countDelayMs);
  }

  #publisherOf({ ownerName, namespace }: TrustRecord): void {
    if (ownerName !== undefined) this.#queues.trust.add(trustKey(ownerName, namespace));
  }

  #claimantsOf(secretKey: string): void {
    for (const claimant of this.#caches.claimants(secretKey)) {
      this.#queues.certificate.add(keyOf(claimant));
    }
  }
}

/** The fields of an authority that its certificates depend on, apart from the root; undefined when it does not exist. */
function rulesIn(authority: AuthorityRecord | undefined) {
  if (authority === undefined) return undefined;
  const { trustDomain, clusterDomain, issuance } = authority.spec;
  return { trustDomain, clusterDomain, issuance };
}

/** The fields of an authority that the answers to pods depend on, apart from the root. */
const podRulesIn = (record: AuthorityRecord | undefined) =>
  record === undefined ? undefined : [rulesIn(record), record.spec.podCertificates];

/** True when a change of a resource affects no other resource. */
const isSameClaim = (before: CertificateRecord | undefined, after: CertificateRecord | undefined): boolean =>
  before !== undefined &&
  after !== undefined &&
  before.uid === after.uid &&
  before.deleting === after.deleting &&
  before.spec.authorityRef.name === after.spec.authorityRef.name &&
  isSameJson(secretKeysOf(before), secretKeysOf(after));

/** The fields of an authority that its trust targets depend on, apart from the root. */
const publishingOf = (record: AuthorityRecord | undefined) =>
  record === undefined ? undefined : [record.uid, record.deleting, record.spec.trustBundle];
