import type { GuardedClient, Log } from '../kube/index.ts';
import type { Certificate } from '../pki/index.ts';
import { rememberedRoots } from '../plan/index.ts';
import { AuthorityReconciler } from './authority/authority-reconciler.ts';
import { RolloutObserver } from './authority/rollout-observer.ts';
import { AuthorityStates } from './cache/authority-states.ts';
import { Caches } from './cache/caches.ts';
import { deletionEvent } from './certificate/certificate-events.ts';
import { CertificateReconciler } from './certificate/certificate-reconciler.ts';
import { RsaKeyPool } from './certificate/rsa-key-pool.ts';
import { SecretFinder } from './certificate/secret-finder.ts';
import { SecretNameOwnership } from './certificate/secret-name-ownership.ts';
import { SecretWriter } from './certificate/secret-writer.ts';
import { EventHandlers, type Queues } from './event-handlers.ts';
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
  readonly rsaKeyWorkers: number;
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
  readonly authorityStates = new AuthorityStates();
  readonly caches: Caches;
  readonly authority: AuthorityReconciler;
  readonly certificate: CertificateReconciler;
  readonly trust: TrustReconciler;
  readonly eventHandlers: EventHandlers;
  readonly #log: Log;

  constructor(options: ReconcilersOptions) {
    const { client, namespace, rsaKeyWorkers, recorder, observer, log, now, monotonicMs, queues } = options;
    this.#log = log;
    const { authorityStates } = this;
    const roots = () => [...authorityStates.roots(), ...this.#unreadRoots()];
    this.caches = new Caches(roots, monotonicMs);
    const { caches } = this;
    this.eventHandlers = new EventHandlers(caches, queues);
    const { eventHandlers } = this;
    const { authorities, certificates, namespaces } = caches;
    this.trust = new TrustReconciler({
      authorities,
      namespaces,
      authorityStates,
      configMaps: new TrustWriter(client, inConfigMap, caches.configMaps, log),
      clusterTrustBundles: new TrustWriter(client, inClusterTrustBundle, caches.clusterTrustBundles, log),
      servesClusterTrustBundles: () => caches.servesClusterTrustBundles,
      onOutcome: (authority) => eventHandlers.trustChanged(authority),
      now,
    });
    const publications = new Publications(client, caches, authorityStates, this.trust);
    this.authority = new AuthorityReconciler({
      client,
      namespace,
      authorities,
      authorityStates,
      rollout: new RolloutObserver({
        client,
        caches,
        publications: (authority) => publications.of(authority),
        renewPublications: (authority, signal) => publications.renew(authority, signal),
      }),
      publishedCrls: (authority, signal) => publishedCrls(client, namespace, authority, signal),
      asked: (authority, at) => caches.leavesToRevoke(authority, at),
      certificateCount: (authority) => certificates.count('authority', authority),
      onChange: (authority, change) => eventHandlers.authorityChanged(authority, change),
      trustConditions: (authority) => publications.conditions(authority),
      recorder,
      log,
      now,
    });
    const keys = new RsaKeyPool({ concurrency: rsaKeyWorkers, onReady: (owner) => queues.certificate.add(owner) });
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
      authorityStates,
      secretNames: new SecretNameOwnership(caches, namespace),
      keys,
      keystorePassword: (certificate) => caches.keystorePassword(certificate),
      onCrlAwaited: (authority) => eventHandlers.crlAwaited(authority),
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
    this.authorityStates.clear();
    this.trust.clear();
    this.authority.beginToLead();
    this.certificate.beginToLead();
    await this.refreshRoots(signal);
  }

  /**
   * The roots of authorities whose root Secret has not been read yet, as their status remembers them. A certificate whose root
   * is not known holds no gate of a rotation.
   */
  #unreadRoots(): Certificate[] {
    return [...this.caches.authorities.values()]
      .filter(({ name }) => this.authorityStates.get(name).state === 'unknown')
      .flatMap(({ status }) => rememberedRoots(status));
  }

  /** Reads and judges the root of every authority, without writing anything. */
  async refreshRoots(signal: AbortSignal): Promise<void> {
    for (const name of this.caches.authorities.keys()) {
      try {
        await this.authority.refresh(name, signal);
      } catch (error) {
        // The leader's reconcile looks again; until then its certificates wait.
        this.#log.warn('a root could not be read', { authority: name, error });
      }
    }
  }
}
