import type { GuardedClient, Log } from '../kube/index.ts';
import { AuthorityObserver } from './authority/authority-observer.ts';
import { AuthorityReconciler } from './authority/authority-reconciler.ts';
import { PodLeafRequests } from './authority/pod-leaf-requests.ts';
import { RootSecretWriter } from './authority/root-secret-writer.ts';
import { deletionEvent } from './certificate/certificate-events.ts';
import { CertificateMemory } from './certificate/certificate-memory.ts';
import { CertificateObserver } from './certificate/certificate-observer.ts';
import { CertificateReconciler } from './certificate/certificate-reconciler.ts';
import { RsaKeyPool } from './certificate/rsa-key-pool.ts';
import { SecretDeleter } from './certificate/secret-deleter.ts';
import { SecretFinder } from './certificate/secret-finder.ts';
import { SecretNameOwnership } from './certificate/secret-name-ownership.ts';
import { SecretWriter } from './certificate/secret-writer.ts';
import { StepRunner } from './certificate/step-runner.ts';
import { EventHandlers, type Queues } from './event-handlers.ts';
import type { Recorder } from './objects/event-sink.ts';
import { injectionOf } from './objects/injection-objects.ts';
import { podRequestKey } from './objects/pod-objects.ts';
import { inClusterTrustBundle, inConfigMap } from './objects/trust-objects.ts';
import { PendingPodRequests } from './pods/pending-pod-requests.ts';
import { PodActions } from './pods/pod-actions.ts';
import { type PodCertificateMetrics, PodCertificateReconciler } from './pods/pod-certificate-reconciler.ts';
import { PodCertificateReports } from './pods/pod-certificate-reports.ts';
import { PodRequestObserver } from './pods/pod-request-observer.ts';
import type { Replica } from './replica.ts';
import { InjectionReconciler } from './trust/injection-reconciler.ts';
import { TrustPublications } from './trust/trust-publications.ts';
import { TrustReconciler } from './trust/trust-reconciler.ts';
import { TrustWriter } from './trust/trust-writer.ts';

export interface ReconcilersOptions {
  readonly client: GuardedClient;
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  readonly replica: Replica;
  readonly queues: Queues;
  /** How many RSA keys are generated at the same time. */
  readonly rsaKeyWorkers: number;
  /** See Config. Default: false. */
  readonly restartWorkloads?: boolean | undefined;
  readonly recorder: Recorder;
  readonly observer: { onIssued(role: string, reason: string): void } & PodCertificateMetrics;
  readonly log: Log;
  readonly now: () => Date;
}

/** The reconcilers of one term of a leader, and the event handlers that queue keys for them. */
export interface Reconcilers {
  readonly authority: AuthorityReconciler;
  /** The certificates for pods that wait for a record in the root Secret. */
  readonly podLeafRequests: PodLeafRequests;
  readonly certificate: CertificateReconciler;
  readonly trust: Pick<TrustReconciler, 'reconcile' | 'outcome'>;
  readonly pods: PodCertificateReconciler;
  readonly pendingPods: PendingPodRequests;
  readonly eventHandlers: EventHandlers;
  /** Ends the term: events queue nothing any more, and the RSA keys that are still ordered are not generated. */
  stop(): void;
}

/**
 * Begins a term. Another process may have led since this process last read a root. So every root is read again before any
 * certificate is signed, and the reconcilers start without memory.
 */
export async function beginTerm(options: ReconcilersOptions, signal: AbortSignal): Promise<Reconcilers> {
  const { client, namespace, replica, queues, now } = options;
  const { caches, authorityStates } = replica;
  const eventHandlers = new EventHandlers(caches, queues);
  const trust = trustReconciler(options, eventHandlers);
  const injection = injectionReconciler(options, eventHandlers);
  const publications = new TrustPublications(client, caches, authorityStates, trust, injection);
  const leadingSince = now();
  const podActions = new PodActions({
    ...options,
    isOn: options.restartWorkloads === true,
    monotonicMs: () => caches.monotonicMs(),
  });
  const podLeafRequests = new PodLeafRequests((name) => eventHandlers.podLeavesAwaited(name));
  const forPods = { podLeafRequests, podActions };
  const sources = { client, namespace, caches, authorityStates, publications, ...forPods, now, leadingSince };
  const observer = new AuthorityObserver(sources);
  const pendingPods = new PendingPodRequests();
  const podReports = new PodCertificateReports(
    pendingPods,
    (name, delayMs) => eventHandlers.podReportDue(name, delayMs),
    () => caches.monotonicMs(),
  );
  const authority = authorityReconciler({ ...options, ...forPods }, eventHandlers, observer, publications, podReports);
  const keys = new RsaKeyPool({
    concurrency: options.rsaKeyWorkers,
    onReady: (owner) => queues.certificate.add(owner),
  });
  const certificate = certificateReconciler({
    ...options,
    keys,
    onCrlAwaited: (name) => eventHandlers.crlAwaited(name),
    onRetry: (key) => queues.certificate.add(key),
  });
  const pods = podCertificateReconciler(options, pendingPods, podReports, forPods);
  const stopForgetting = [
    caches.podRequests.store.subscribe((before, after) => {
      if (before === undefined || after !== undefined) return;
      pods.forget(podRequestKey(before));
      // A leader that was paused may have answered it with an earlier root. If this process has, onIssued follows.
      if (caches.pods.isOn) podActions.issuances.begin(before.authority, before.podUid, before.creationTimestamp);
    }),
    caches.authorities.subscribe((before, after) => {
      if (before !== undefined && before.uid !== after?.uid) podReports.forget(before.uid);
    }),
  ];
  authorityStates.clear();
  await replica.refreshRoots(signal, observer);
  eventHandlers.all();
  const stop = (): void => {
    for (const stopOne of stopForgetting) stopOne();
    eventHandlers.stop();
    keys.stop();
  };
  const publish: Reconcilers['trust'] = {
    outcome: (name, target, desiredName) => trust.outcome(name, target, desiredName),
    reconcile: (key, context) =>
      injectionOf(key) === undefined ? trust.reconcile(key, context) : injection.reconcile(key, context),
  };
  return { authority, podLeafRequests, certificate, trust: publish, pods, pendingPods, eventHandlers, stop };
}

function trustReconciler(
  { client, replica, log, now }: ReconcilersOptions,
  eventHandlers: EventHandlers,
): TrustReconciler {
  const { caches, authorityStates } = replica;
  return new TrustReconciler({
    authorities: caches.authorities,
    namespace: (name) => caches.namespace(name),
    holdsBundle: (authority, name) => caches.configMaps.holdsBundle(authority.uid, name),
    authorityStates,
    configMaps: new TrustWriter(client, inConfigMap, caches.configMaps, log),
    clusterTrustBundles: new TrustWriter(client, inClusterTrustBundle, caches.clusterTrustBundles, log),
    servesClusterTrustBundles: () => caches.servesClusterTrustBundles,
    onOutcome: (authority) => eventHandlers.trustChanged(authority),
    now,
    monotonicMs: caches.monotonicMs,
  });
}

const injectionReconciler = (
  { client, replica, recorder, log, now }: ReconcilersOptions,
  eventHandlers: EventHandlers,
): InjectionReconciler =>
  new InjectionReconciler({
    client,
    authorities: replica.caches.authorities,
    authorityStates: replica.authorityStates,
    injections: replica.caches.injections,
    recorder,
    onOutcome: (authority) => eventHandlers.trustChanged(authority),
    log,
    now,
    monotonicMs: replica.caches.monotonicMs,
  });

function authorityReconciler(
  { client, namespace, replica, podLeafRequests, podActions, recorder, log, now }: ReconcilersOptions & ForPods,
  eventHandlers: EventHandlers,
  observer: AuthorityObserver,
  publications: TrustPublications,
  podReports: PodCertificateReports,
): AuthorityReconciler {
  const { podRequests } = replica.caches;
  return new AuthorityReconciler({
    client,
    authorities: replica.caches.authorities,
    authorityStates: replica.authorityStates,
    observer,
    writer: new RootSecretWriter({ client, namespace, recorder, log, now }),
    podLeafRequests,
    onChange: (authority, change) => eventHandlers.authorityChanged(authority, change),
    trustConditions: (authority) => publications.conditions(authority),
    podReport: (authority) => podReports.report(authority),
    podRequestsAccess: () => podRequests.access,
    podActions,
    recorder,
    now,
  });
}

function podCertificateReconciler(
  { client, replica, recorder, observer, log, now }: ReconcilersOptions,
  pending: PendingPodRequests,
  reports: PodCertificateReports,
  { podLeafRequests: records, podActions }: ForPods,
): PodCertificateReconciler {
  const { caches, authorityStates } = replica;
  const { authorities, namespaces } = caches;
  return new PodCertificateReconciler({
    client,
    requests: caches.podRequests.store,
    observer: new PodRequestObserver({
      client,
      authorities,
      namespaces,
      namespace: (name) => caches.namespace(name),
      authorityStates,
    }),
    pending,
    records,
    onIssuing: ({ authority, podUid, creationTimestamp }) => {
      if (caches.pods.isOn) podActions.issuances.begin(authority, podUid, creationTimestamp);
    },
    onIssued: ({ authority, podUid, requestedAt, anchorId: root }) => {
      reports.issued(authorities.get(authority));
      if (caches.pods.isOn) podActions.issuances.note(authority, podUid, { root, requestedAt });
    },
    onPendingChanged: (name) => {
      const authority = authorities.get(name);
      if (authority !== undefined) reports.changed(authority);
    },
    recorder,
    metrics: observer,
    log,
    now,
  });
}

/** What the reconcilers of authorities and of pods share. */
interface ForPods {
  readonly podLeafRequests: PodLeafRequests;
  readonly podActions: PodActions;
}

/** The dependencies of a CertificateReconciler. */
export interface CertificateParts {
  readonly client: GuardedClient;
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  readonly replica: Pick<Replica, 'caches' | 'authorityStates' | 'roots'>;
  readonly keys: RsaKeyPool;
  /** Called when a certificate must be on the CRL of this authority before it can be replaced. */
  readonly onCrlAwaited: (authority: string) => void;
  /** Called with the key of a resource that is retried before its backoff ends. */
  readonly onRetry: (key: string) => void;
  readonly recorder: Recorder;
  readonly observer: { onIssued(role: string, reason: string): void };
  readonly log: Log;
  readonly now: () => Date;
}

export function certificateReconciler(parts: CertificateParts): CertificateReconciler {
  const { client, namespace, replica, keys, onCrlAwaited, onRetry, recorder, observer, log, now } = parts;
  const { caches, authorityStates, roots } = replica;
  const { authorities, certificates } = caches;
  const memory = new CertificateMemory();
  const finder = new SecretFinder(client, caches);
  const deleter = new SecretDeleter({
    client,
    log,
    onDeleted: (certificate, deleted) => recorder.record(deletionEvent(certificate, deleted)),
  });
  const writer = new SecretWriter({
    client,
    caches,
    roots,
    keys,
    now,
    log,
    observer,
    deleter,
  });
  return new CertificateReconciler({
    client,
    certificates,
    authorities,
    observer: new CertificateObserver({
      finder,
      namespace: (name) => caches.namespace(name),
      secretsAccess: (name) => caches.watched.access('secrets', name),
      authorities,
      authorityStates,
      secretNames: new SecretNameOwnership(caches, namespace),
      keystorePassword: (certificate) => caches.keystorePassword(certificate),
      memory,
      now,
    }),
    runner: new StepRunner({ finder, writer, authorityStates, onCrlAwaited, now }),
    deleter,
    memory,
    keys,
    onRetry,
    recorder,
    now,
  });
}
