import { podAnnotations } from '../../api/constants.ts';
import type { PodCertificateReason } from '../../api/reasons.ts';
import type { MtlsAuthoritySpec } from '../../api/types.ts';
import { anchorId, type LeafProfile } from '../../pki/index.ts';
import type { AuthorityState, ReadyAuthority } from '../certificate/authority-state.ts';
import { isSelected } from '../policy/grant.ts';
import { selectorText, selects } from '../policy/label-selector.ts';
import type { KnownNamespace } from '../records/namespace-record.ts';
import { recordedUntil } from '../records/pod-leaves.ts';
import { truncate } from '../text/message-text.ts';
import { labelsRightHint } from '../text/missing-right.ts';
import { type PodRefusal, podLeafRequest } from './pod-leaf-request.ts';
import { type ObservedPod, type ObservedService, type PodRequestRecord, sourceOfRequest } from './pod-request.ts';
import { type PodValidity, podValidity } from './pod-validity.ts';
import { type PodNames, readUserAnnotations } from './user-annotations.ts';

/** The kinds of keys in requests, as Kubernetes names them, by the name that describeKey has for them. */
const keyTypes: Readonly<Record<string, KeyType>> = {
  'ECDSA-256': 'ECDSAP256',
  'ECDSA-384': 'ECDSAP384',
  'ECDSA-521': 'ECDSAP521',
  Ed25519: 'ED25519',
  'RSA-3072': 'RSA3072',
  'RSA-4096': 'RSA4096',
};

type PodCertificates = NonNullable<MtlsAuthoritySpec['podCertificates']>;
type KeyType = PodCertificates['keyTypes'][number];

/** Everything that the answer to a request depends on. */
export interface ObservedPodRequest {
  readonly request: PodRequestRecord;
  /** The kind of the request's key, as describeKey names it, or why no certificate may have the key. */
  readonly key: { readonly kind: string } | { readonly problem: string };
  readonly podCertificates: PodCertificates;
  readonly authority: AuthorityState;
  /** Undefined while the cache does not have it. */
  readonly namespace: KnownNamespace | undefined;
  /** Read from the API server for this request. Undefined when it does not exist. */
  readonly pod: ObservedPod | undefined;
  /** By name: the Services that the pod requests, read from the API server. Undefined when a Service does not exist. */
  readonly services: ReadonlyMap<string, ObservedService | undefined>;
}

/** The answer to a request. */
export type PodCertificatePlan = IssuePodCertificate | AwaitRecord | DenyPodCertificate | WaitForCertificate;

export interface IssuePodCertificate {
  readonly step: 'issue';
  readonly profile: LeafProfile;
  readonly validity: PodValidity;
  /** The anchor identity of the root that signs. */
  readonly anchorId: string;
}

/** The root Secret has to record first that pods may hold certificates for so long. Then the request is planned again. */
export interface AwaitRecord {
  readonly step: 'record';
  /** The anchor identity of the root that signs. */
  readonly anchorId: string;
  readonly notAfter: Date;
}

export interface DenyPodCertificate {
  readonly step: 'deny';
  readonly reason: PodCertificateReason;
  readonly message: string;
  /** The decision depends on the authority's spec or the namespace's labels, which a cache may have in an old version. */
  readonly dependsOnCaches: boolean;
}

export interface WaitForCertificate {
  readonly step: 'wait';
  readonly reason: PodCertificateReason;
  readonly message: string;
}

/** A pending or denied request whose pod exists: the pod gets an event about it. */
export const isAboutPod = ({ reason }: { readonly reason: PodCertificateReason }): boolean => reason !== 'PodMismatch';

/** A pending request that needs no person: its pod gets no event. */
export const passesByItself = ({ reason }: { readonly reason: PodCertificateReason }): boolean => reason === 'Pending';

/** Plans the answer. A denial is final, so that only what the author of the pod has to change leads to one. */
export function planPodCertificate(observed: ObservedPodRequest, now: Date): PodCertificatePlan {
  const { request, pod, authority, namespace } = observed;
  if (pod === undefined) return mismatch(request, 'does not exist');
  const forged = requestProblem(request, pod);
  if (forged !== undefined) return forged;
  const source = sourceOfRequest(request, pod);
  if (source === undefined) return missingVolume(request);
  const names = readUserAnnotations(source.annotations);
  if ('problem' in names) return deny('InvalidUnverifiedUserAnnotations', names.problem);
  if (authority.state === 'missing' || authority.state === 'unknown')
    return wait('Pending', 'the operator has not read the root of the authority yet');
  if (namespace === undefined)
    return wait('Pending', `the operator has not read namespace ${request.namespace} yet; its labels decide`);
  const refused = keyProblem(observed) ?? selectionProblem(observed, namespace);
  if (refused !== undefined) return waitIfRunning(refused, pod);
  for (const name of names.services) {
    const problem = serviceProblem(name, observed.services.get(name), pod);
    if (problem !== undefined) return problem;
  }
  if (authority.state === 'notReady') return authorityNotReady(authority);
  if (authority.issuancePaused !== undefined) return authorityNotReady(authority.issuancePaused);
  return planCertificate(observed, { authority, namespace, pod, names }, now);
}

/** Why a request does not come from the kubelet of a live pod. */
function requestProblem(request: PodRequestRecord, pod: ObservedPod): DenyPodCertificate | undefined {
  if (pod.uid !== request.podUid) return mismatch(request, `has the UID ${pod.uid}, not ${truncate(request.podUid)}`);
  if (pod.serviceAccountName !== request.serviceAccountName) return mismatch(request, 'has another ServiceAccount');
  if (pod.nodeName !== request.nodeName) return mismatch(request, 'is on another node');
  return pod.isFinished ? deny('PodFinished', `pod ${request.podName} has ended`) : undefined;
}

/** What a certificate for a pod that may have one depends on. */
interface CertificateInput {
  readonly authority: ReadyAuthority;
  readonly namespace: KnownNamespace;
  readonly pod: ObservedPod;
  readonly names: PodNames;
}

/** Plans the certificate: its validity, its names, and the record of its root. */
function planCertificate(
  observed: ObservedPodRequest,
  { authority, namespace, pod, names }: CertificateInput,
  now: Date,
): PodCertificatePlan {
  const { request, podCertificates } = observed;
  const limits = {
    requestedMs: request.maxExpirationMs,
    maxDuration: podCertificates.maxDuration,
    rotationMs: authority.longestPodLifetimeMs,
  };
  const validity = podValidity(authority, limits, now);
  if ('reason' in validity) return wait(validity.reason, validity.message);
  const durationMs = validity.notAfter.getTime() - validity.notBefore.getTime();
  const scope = scopeOf(observed, namespace, authority);
  const planned = podLeafRequest(names, pod, { authority, scope, durationMs });
  if ('reason' in planned) return planRefusal(planned, request, { namespace, pod });
  const root = anchorId(authority.anchor);
  const recorded = recordedUntil(authority.podLeaves, root);
  const { notAfter } = validity;
  if (recorded === undefined || recorded < notAfter) return { step: 'record', anchorId: root, notAfter };
  return { step: 'issue', profile: planned.profile, validity, anchorId: root };
}

function planRefusal(
  { reason, message }: PodRefusal,
  request: PodRequestRecord,
  { namespace, pod }: Pick<CertificateInput, 'namespace' | 'pod'>,
): DenyPodCertificate | WaitForCertificate {
  switch (reason) {
    case 'InvalidUnverifiedUserAnnotations':
      return deny(reason, message);
    case 'NameConstrained':
      return wait(reason, message);
    case 'NamesDenied':
      // The labels may select a grant.
      if (namespace.labels === undefined) return labelsForbidden(request.namespace);
      return waitIfRunning(deny(reason, message, true), pod);
  }
}

const mismatch = ({ podName }: PodRequestRecord, how: string): DenyPodCertificate =>
  deny('PodMismatch', `pod ${podName} ${how}`);

const missingVolume = ({ podName, authority }: PodRequestRecord): DenyPodCertificate =>
  deny(
    'VolumeMismatch',
    `pod ${podName} has no podCertificate volume with the signer of MtlsAuthority ${authority} and these userAnnotations`,
  );

function keyProblem({ request, key, podCertificates }: ObservedPodRequest): DenyPodCertificate | undefined {
  const type = 'kind' in key ? keyTypes[key.kind] : undefined;
  if (type !== undefined && podCertificates.keyTypes.includes(type)) return undefined;
  const what = 'kind' in key ? `the key is of type ${type ?? key.kind}` : truncate(key.problem);
  const allowed = podCertificates.keyTypes.join(', ');
  const message = `${what}; MtlsAuthority ${request.authority} issues certificates for keys of type ${allowed}`;
  return deny('UnsupportedKeyType', message, type !== undefined);
}

function selectionProblem(
  { request, podCertificates, authority }: ObservedPodRequest,
  { labels }: KnownNamespace,
): DenyPodCertificate | WaitForCertificate | undefined {
  const { namespace, authority: name } = request;
  const issuance = 'issuance' in authority ? authority.issuance.namespaceSelector : undefined;
  const selectors = [
    ['podCertificates.namespaceSelector', podCertificates.namespaceSelector],
    ['issuance.namespaceSelector', issuance],
  ] as const;
  for (const [field, selector = {}] of selectors) {
    if (isSelected(selector, labels)) continue;
    if (labels === undefined) return labelsForbidden(namespace);
    const text = truncate(selectorText(selector), 1024);
    const message = `pods of namespace ${namespace} get no certificates of MtlsAuthority ${name}: ${field} requires the labels ${text}`;
    return deny('NamespaceNotSelected', message, true);
  }
  return undefined;
}

const labelsForbidden = (namespace: string): WaitForCertificate =>
  wait(
    'Forbidden',
    `the operator may not read the labels of namespace ${namespace}, which decide; ${labelsRightHint(namespace)}`,
  );

/** A Service may be created or corrected at any time, so the request waits. */
function serviceProblem(
  name: string,
  service: ObservedService | undefined,
  { labels }: ObservedPod,
): WaitForCertificate | undefined {
  const correct = `correct ${podAnnotations.services} in the volume of the pod`;
  if (service === undefined) return wait('ServiceNotFound', `Service ${name} does not exist; create it, or ${correct}`);
  const { selector = {} } = service;
  // As in Kubernetes: a Service without selector selects no pod.
  const isSelected = Object.keys(selector).length > 0 && selects({ matchLabels: selector }, labels);
  if (isSelected) return undefined;
  const message = `Service ${name} does not select the pod; correct its selector or the labels of the pod, or ${correct}`;
  return wait('ServiceDoesNotSelectPod', message);
}

const scopeOf = (
  { request }: ObservedPodRequest,
  { labels }: KnownNamespace,
  { trustDomain, clusterDomain, issuance }: ReadyAuthority,
) => ({ namespace: request.namespace, labels, authority: request.authority, trustDomain, clusterDomain, issuance });

const deny = (reason: PodCertificateReason, message: string, dependsOnCaches = false): DenyPodCertificate => ({
  step: 'deny',
  reason,
  message: truncate(message, longestMessage),
  dependsOnCaches,
});

/** kubelet copies the message into events. */
const longestMessage = 900;

const wait = (reason: PodCertificateReason, message: string): WaitForCertificate => ({
  step: 'wait',
  reason,
  message: truncate(message, longestMessage),
});

const authorityNotReady = ({ reason, message }: { reason: string; message: string }): WaitForCertificate =>
  wait('AuthorityNotReady', `${reason}: ${message}`);

/** A request of a pod that runs waits: after a denial kubelet would never renew the certificate of the pod again. */
const waitIfRunning = (
  refused: DenyPodCertificate | WaitForCertificate,
  { hasStarted }: ObservedPod,
): DenyPodCertificate | WaitForCertificate => {
  if (refused.step === 'wait' || !hasStarted) return refused;
  const { reason, message } = refused;
  return wait(reason, `${message}; the pod runs, so the request waits until an administrator allows it again`);
};

const shortestRetryMs = 1000;
const longestRetryMs = 120_000;
/** A plan reads a pod and up to 16 Services. The requests of one namespace are planned again at most this often, on average. */
const retriesPerSecond = 20;

/**
 * When a request that waits is planned again without an event: when it has waited for half as long again, or later if many wait.
 * @param since when it began to wait
 * @param waiting how many requests of its namespace wait
 */
export function retryTime(since: Date, waiting: number, now: Date): Date {
  const delayMs = Math.min(Math.max((now.getTime() - since.getTime()) / 2, shortestRetryMs), longestRetryMs);
  const leastMs = (waiting * 1000) / retriesPerSecond;
  return new Date(now.getTime() + Math.max(delayMs, leastMs));
}
