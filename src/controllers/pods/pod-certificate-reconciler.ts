import { randomBytes } from 'node:crypto';
import type { PodCertificateReason } from '../../api/reasons.ts';
import { type GuardedClient, isKubeError, type Log, podCertificateRequests, type Store } from '../../kube/index.ts';
import { type IssuedLeaf, issueLeaf, PkiError } from '../../pki/index.ts';
import {
  type AwaitRecord,
  type DenyPodCertificate,
  type IssuePodCertificate,
  isAboutPod,
  type PodCertificatePlan,
  type PodRequestRecord,
  passesByItself,
  planPodCertificate,
  retryTime,
  type WaitForCertificate,
} from '../../plan/index.ts';
import type { Recorder } from '../objects/event-sink.ts';
import { cacheKeyOf, podReference } from '../objects/pod-objects.ts';
import type { PendingPodRequests } from './pending-pod-requests.ts';
import { deniedStatus, issuedStatus, withStatus } from './pod-certificate-delivery.ts';
import type { PodRequestObservation, PodRequestObserver } from './pod-request-observer.ts';

/** Receives what the signer reports for metrics. */
export interface PodCertificateMetrics {
  /** @param seconds from the creation of the request to its answer */
  onPodCertificateIssued(authority: string, seconds: number): void;
  onPodCertificateDenied(authority: string, reason: PodCertificateReason): void;
}

/** A certificate that a pod has got. */
export interface IssuedPodCertificate {
  readonly authority: string;
  readonly podUid: string;
  /** When the request was created. */
  readonly requestedAt: string;
  /** The anchor identity of the root. */
  readonly anchorId: string;
  readonly notAfter: Date;
}

/** The dependencies of the reconciler. reconcilers.ts creates them. */
export interface PodCertificateContext {
  readonly client: GuardedClient;
  readonly requests: Pick<Store<PodRequestRecord>, 'get' | 'observeDeleted'>;
  readonly observer: PodRequestObserver;
  readonly pending: PendingPodRequests;
  /** The certificates that wait for a record in the root Secret. */
  readonly records: { request(authority: string, root: string, notAfter: Date): void };
  /** Called before a certificate is written. Until `onIssued`, the pod may have it or not. */
  readonly onIssuing: (request: PodRequestRecord) => void;
  /** Called when a certificate was issued. */
  readonly onIssued: (issued: IssuedPodCertificate) => void;
  /** Called when the requests of an authority that wait have changed. */
  readonly onPendingChanged: (authority: string) => void;
  readonly recorder: Recorder;
  readonly metrics: PodCertificateMetrics;
  readonly log: Log;
  readonly now: () => Date;
}

interface PlannedRequest {
  readonly observation: PodRequestObservation;
  readonly plan: PodCertificatePlan;
}

type Requeue = { readonly requeueAt: Date } | undefined;

/** Most requests that wait are answered within this time, for instance when the Service of a new Deployment follows its pods. */
const eventAfterMs = 5000;

/** The change of the authority's state queues a request that waits for the record. This covers a change that was missed. */
const recordRetryMs = 1000;

/** How soon a request is planned again after the API server has another version of it. */
const conflictRetryMs = 1000;

/** Answers PodCertificateRequests: observe → plan → sign → one write of status. */
export class PodCertificateReconciler {
  readonly #context: PodCertificateContext;

  constructor(context: PodCertificateContext) {
    this.#context = context;
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<Requeue> {
    const { requests, observer } = this.#context;
    const request = requests.get(cacheKeyOf(key));
    // Nothing answers a request to an authority that is no signer for pods.
    if (request === undefined || !observer.isServed(request)) return this.forget(key);
    try {
      const planned = await this.#plan(request, signal);
      if (planned === undefined) return this.forget(key);
      const { observation, plan } = planned;
      if (plan.step === 'wait') return this.#wait(key, request, plan);
      if (plan.step === 'record') return this.#awaitRecord(key, request, plan);
      if (plan.step === 'deny') await this.#deny(request, plan, signal);
      else await this.#issue(request, observation, plan, signal);
      return this.forget(key);
    } catch (error) {
      return this.#failed(key, request, error);
    }
  }

  /** Undefined when nothing answers the request. */
  async #plan(request: PodRequestRecord, signal: AbortSignal): Promise<PlannedRequest | undefined> {
    const { observer, now } = this.#context;
    const planned = (observation: PodRequestObservation | undefined): PlannedRequest | undefined =>
      observation && { observation, plan: planPodCertificate(observation.observed, now()) };
    const first = planned(await observer.observe(request, signal));
    if (first?.plan.step !== 'deny' || !first.plan.dependsOnCaches) return first;
    // A denial is final, so it must not come from an old version of the authority or the namespace.
    return planned(await observer.renew(request, first.observation, signal));
  }

  async #issue(
    request: PodRequestRecord,
    { publicKey, material }: PodRequestObservation,
    plan: IssuePodCertificate,
    signal: AbortSignal,
  ): Promise<void> {
    const { onIssuing, onIssued, metrics, now } = this.#context;
    if (publicKey === undefined || material?.issuer === undefined)
      throw new PkiError('IssuerRefuses', 'the authority has changed since the request was planned');
    const { validity, anchorId } = plan;
    const context = { now: now(), serialSeed: randomBytes(20), validity };
    const issued = await issueLeaf(plan.profile, publicKey, material.issuer, context);
    const status = issuedStatus(issued, plan, now());
    onIssuing(request);
    try {
      await this.#write(request, status, signal);
    } catch (error) {
      // The pod may have the certificate although the answer to the write was lost.
      if (isKubeError(error) && error.outcomeUnknown) this.#audit(request, plan, issued, 'unknown');
      throw error;
    }
    this.#audit(request, plan, issued, 'delivered');
    const { authority, podUid, creationTimestamp: requestedAt } = request;
    metrics.onPodCertificateIssued(authority, secondsSince(request, now()));
    onIssued({ authority, podUid, requestedAt, anchorId, notAfter: issued.leaf.notAfter });
  }

  async #deny(request: PodRequestRecord, plan: DenyPodCertificate, signal: AbortSignal): Promise<void> {
    const { metrics, now, log } = this.#context;
    await this.#write(request, deniedStatus(plan, now()), signal);
    const { namespace, name, authority, podName: pod } = request;
    const { reason, message } = plan;
    log.info('denied a certificate to a pod', { authority, namespace, pod, request: name, reason, why: message });
    metrics.onPodCertificateDenied(authority, reason);
    if (isAboutPod(plan)) this.#warn(request, 'PodCertificateDenied', 'Deny', plan);
  }

  /** The request has its answer after this write, and leaves the cache before the watch reports it. */
  async #write(
    request: PodRequestRecord,
    status: Parameters<typeof withStatus>[1],
    signal: AbortSignal,
  ): Promise<void> {
    const { client, requests } = this.#context;
    const options = { subresource: 'status', metadataOnly: true, signal } as const;
    const { metadata } = await client.replace(podCertificateRequests, withStatus(request, status), options);
    requests.observeDeleted(request, metadata.resourceVersion);
  }

  /** The change of the authority's state queues the request again, usually within milliseconds. */
  #awaitRecord(key: string, request: PodRequestRecord, { anchorId, notAfter }: AwaitRecord): Requeue {
    this.#context.records.request(request.authority, anchorId, notAfter);
    const message = 'the root Secret has to record first how long the certificate is valid';
    if (secondsSince(request, this.#context.now()) * 1000 >= eventAfterMs)
      return this.#wait(key, request, { step: 'wait', reason: 'Pending', message });
    this.forget(key);
    return { requeueAt: new Date(this.#context.now().getTime() + recordRetryMs) };
  }

  #wait(key: string, request: PodRequestRecord, plan: WaitForCertificate): Requeue {
    const { pending, onPendingChanged, now } = this.#context;
    const at = now();
    const { since, isNew } = pending.note(key, request, plan.reason, at);
    if (isNew) onPendingChanged(request.authority);
    const isOld = at.getTime() - since.getTime() >= eventAfterMs;
    if (isOld && !passesByItself(plan)) this.#warn(request, 'PodCertificatePending', 'Wait', plan);
    return { requeueAt: retryTime(since, pending.waitingIn(request.namespace), at) };
  }

  /** @throws the error, unless a person has to act or the request has changed */
  #failed(key: string, request: PodRequestRecord, error: unknown): Requeue {
    const { now } = this.#context;
    if (isKubeError(error, 'NotFound')) return this.forget(key);
    if (isKubeError(error, 'Conflict')) return { requeueAt: new Date(now().getTime() + conflictRetryMs) };
    const wait = (reason: PodCertificateReason, message: string) =>
      this.#wait(key, request, { step: 'wait', reason, message });
    if (isKubeError(error, 'Forbidden')) return wait('Forbidden', error.message);
    if (error instanceof PkiError || isKubeError(error, 'Invalid', 'BadRequest'))
      return wait('IssuanceFailed', error.message);
    throw error;
  }

  /** Forgets a request that has its answer or is gone. */
  forget(key: string): undefined {
    const { pending, onPendingChanged } = this.#context;
    const authority = pending.forget(key);
    if (authority !== undefined) onPendingChanged(authority);
  }

  #warn(
    request: PodRequestRecord,
    reason: 'PodCertificateDenied' | 'PodCertificatePending',
    action: string,
    plan: DenyPodCertificate | WaitForCertificate,
  ): void {
    const note = `${plan.reason}: ${plan.message}`;
    this.#context.recorder.record({ regarding: podReference(request), type: 'Warning', reason, action, note });
  }

  #audit(
    request: PodRequestRecord,
    { profile }: IssuePodCertificate,
    { leaf }: IssuedLeaf,
    delivery: 'delivered' | 'unknown',
  ): void {
    const { namespace, name, authority, podName: pod, podUid: podUID, nodeName: node } = request;
    const { dnsNames, ipAddresses, uris } = profile.names;
    this.#context.log.info('issued a certificate to a pod', {
      authority,
      namespace,
      pod,
      podUID,
      node,
      serviceAccount: request.serviceAccountName,
      serial: leaf.serialNumber,
      notAfter: leaf.notAfter,
      names: [...uris, ...dnsNames, ...ipAddresses],
      request: name,
      ...(delivery === 'delivered' ? {} : { delivery }),
    });
  }
}

const secondsSince = ({ creationTimestamp }: PodRequestRecord, now: Date): number =>
  Math.max(0, (now.getTime() - Date.parse(creationTimestamp)) / 1000);
