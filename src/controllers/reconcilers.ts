import type { GuardedClient, Log } from '../kube/index.ts';
import type { Certificate } from '../pki/index.ts';
import { rememberedRoots } from '../plan/index.ts';
import { AuthorityReconciler } from './authority/authority-reconciler.ts';
import { EvidenceGatherer } from './authority/rollout-observer.ts';
import { AuthorityViews } from './cache/authority-states.ts';
import { Caches } from './cache/caches.ts';
import { deletionEvent } from './certificate/certificate-events.ts';
import { CertificateReconciler } from './certificate/certificate-reconciler.ts';
import { KeyMaker } from './certificate/rsa-key-pool.ts';
import { SecretFinder } from './certificate/secret-finder.ts';
import { Claims } from './certificate/secret-name-ownership.ts';
import { SecretWriter } from './certificate/secret-writer.ts';
import { type Queues, Triggers } from './event-handlers.ts';
import type { Recorder } from './objects/recorder.ts';
import { publishedCrls } from './objects/root-crl.ts';
import { inClusterTrustBundle, inConfigMap } from './objects/trust-objects.ts';
import { Publications } from './trust/trust-publications.ts';
import { TrustReconciler } from './trust/trust-reconciler.ts';
import { TrustWriter } from './trust/trust-writer.ts';

export interface ReconcilersOptions {
  readonly client: GuardedClient;
  /** Where root Secrets are. */
  readonly namespace: string;
  /** RSA keys that are generated at a time. */
  readonly keysInWork: number;
  readonly recorder: Recorder;
  readonly observer: { onIssued(role: string, reason: string): void };
  readonly log: Log;
  readonly now: () => Date;
  /** Milliseconds of a clock that only goes forward. Default: the one of the process. */
  readonly monotonicMs?: (() => number) | undefined;
  /** Where the keys come that have to be reconciled. */
  readonly queues: Queues;
}

/**
 * The caches and the reconcilers of one process, and the triggers that bring keys into their queues. Who takes the keys out,
 * and when, is for the Operator.
 */
export class Reconcilers {
  readonly views = new AuthorityViews();
  readonly caches: Caches;
  readonly authority: AuthorityReconciler;
  readonly certificate: CertificateReconciler;
  readonly trust: TrustReconciler;
  readonly triggers: Triggers;
  readonly #log: Log;

  constructor(options: ReconcilersOptions) {
    const { client, namespace, keysInWork, recorder, observer, log, now, monotonicMs, queues } = options;
    this.#log = log;
    const { views } = this;
    const roots = () => [...views.roots(), ...this.#unreadRoots()];
    this.caches = new Caches(roots, monotonicMs);
    const { caches } = this;
    this.triggers = new Triggers(caches, queues);
    const { triggers } = this;
    const { authorities, certificates, namespaces } = caches;
    this.trust = new TrustReconciler({
      authorities,
      namespaces,
      views,
      configMaps: new TrustWriter(client, inConfigMap, caches.configMaps, log),
      clusterTrustBundles: new TrustWriter(client, inClusterTrustBundle, caches.clusterTrustBundles, log),
      servesClusterTrustBundles: () => caches.servesClusterTrustBundles,
      onOutcome: (authority) => triggers.trustChanged(authority),
      now,
    });
    const publications = new Publications(client, caches, views, this.trust);
    this.authority = new AuthorityReconciler({
      client,
      namespace,
      authorities,
      views,
      evidence: new EvidenceGatherer({
        client,
        caches,
        publications: (authority) => publications.of(authority),
        renewPublications: (authority, signal) => publications.renew(authority, signal),
      }),
      publishedCrls: (authority, signal) => publishedCrls(client, namespace, authority, signal),
      asked: (authority, at) => caches.leavesToRevoke(authority, at),
      certificateCount: (authority) => certificates.count('authority', authority),
      onChange: (authority, change) => triggers.authorityChanged(authority, change),
      trustConditions: (authority) => publications.conditions(authority),
      recorder,
      log,
      now,
    });
    const keys = new KeyMaker({ concurrency: keysInWork, onReady: (owner) => queues.certificate.add(owner) });
    this.certificate = new CertificateReconciler({
      client,
      certificates,
      finder: new SecretFinder(client, caches),
      namespaces,
      authorities,
      writer: new SecretWriter({
        client,
        caches,
        roots,
        keys,
        now,
        log,
        observer,
        onDeleted: (certificate, deleted) => recorder.record(deletionEvent(certificate, deleted)),
      }),
      views,
      claims: new Claims(caches, namespace),
      keys,
      storePassword: (certificate) => caches.storePassword(certificate),
      onCrlAwaited: (authority) => triggers.crlAwaited(authority),
      onRetry: (key) => queues.certificate.add(key),
      recorder,
      now,
    });
  }

  /**
   * This process begins to lead. A root may have been replaced while it stood by, and another process has led since: nothing
   * is judged or signed by what this one knew then.
   */
  async beginToLead(signal: AbortSignal): Promise<void> {
    this.views.clear();
    this.trust.clear();
    this.authority.beginToLead();
    this.certificate.beginToLead();
    await this.lookAtRoots(signal);
  }

  /**
   * The roots of authorities whose root Secret has not been read yet, as their status remembers them. A certificate whose root
   * is not known holds no gate of a rotation.
   */
  #unreadRoots(): Certificate[] {
    return [...this.caches.authorities.values()]
      .filter(({ name }) => this.views.view(name).state === 'unknown')
      .flatMap(({ status }) => rememberedRoots(status));
  }

  /** Reads and judges the root of every authority, without writing anything. */
  async lookAtRoots(signal: AbortSignal): Promise<void> {
    for (const name of this.caches.authorities.keys()) {
      try {
        await this.authority.look(name, signal);
      } catch (error) {
        // The leader's reconcile looks again; until then its certificates wait.
        this.#log.warn('a root could not be read', { authority: name, error });
      }
    }
  }
}
