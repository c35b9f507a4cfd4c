import { hash } from 'node:crypto';
import type { ContainerStatus, Pod, PodCertificateRequest, Served, Service } from '../../kube/index.ts';
import { PkiError, publicKeyInRequest } from '../../pki/index.ts';
import {
  authorityOfSigner,
  type ObservedPod,
  type ObservedService,
  type PodRequestRecord,
  signerNameOf,
} from '../../plan/index.ts';
import { internPool } from './intern-pool.ts';

const defaultExpirationSeconds = 24 * 3600;

/**
 * The record of a request that waits for an answer. Undefined for a request to another signer, for one that has its answer, and
 * for one of more than 1 MiB of JSON, which kubelet never makes.
 */
export function podRequestRecord({
  metadata,
  spec,
  status,
}: Served<PodCertificateRequest>): PodRequestRecord | undefined {
  const authority = authorityOfSigner(spec?.signerName);
  if (spec === undefined || authority === undefined) return undefined;
  if ((status?.conditions?.length ?? 0) > 0) return undefined;
  return {
    namespace: internPool.text(metadata.namespace ?? ''),
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    creationTimestamp: metadata.creationTimestamp,
    authority: internPool.text(authority),
    podName: spec.podName,
    podUid: spec.podUID,
    serviceAccountName: internPool.text(spec.serviceAccountName),
    nodeName: internPool.text(spec.nodeName),
    maxExpirationMs: (spec.maxExpirationSeconds ?? defaultExpirationSeconds) * 1000,
    key: keyIn(spec.stubPKCS10Request ?? ''),
    annotationsDigest: annotationsDigest(spec.unverifiedUserAnnotations ?? {}),
  };
}

function keyIn(request: string): PodRequestRecord['key'] {
  try {
    return { publicKey: publicKeyInRequest(Buffer.from(request, 'base64')) };
  } catch (error) {
    if (error instanceof PkiError) return { problem: error.message };
    throw error;
  }
}

/** A live pod, with its sources for the signer of an authority. */
export function observedPod({ metadata, spec, status }: Served<Pod>, authority: string): ObservedPod {
  const signerName = signerNameOf(authority);
  const containers = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  const sources = (spec?.volumes ?? []).flatMap(({ projected }) =>
    (projected?.sources ?? []).flatMap(({ podCertificate }) =>
      podCertificate?.signerName === signerName ? [podCertificate.userAnnotations ?? {}] : [],
    ),
  );
  return {
    uid: metadata.uid,
    serviceAccountName: spec?.serviceAccountName ?? '',
    nodeName: spec?.nodeName ?? '',
    hostname: spec?.hostname ?? metadata.name,
    labels: metadata.labels ?? {},
    isFinished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    hasStarted: containers.some(hasStarted),
    sources: sources.map((annotations) => ({ annotations, digest: annotationsDigest(annotations) })),
  };
}

/** After a node has lost its containers, only the number of restarts shows that there was one. */
const hasStarted = ({ containerID = '', state, restartCount = 0 }: ContainerStatus): boolean =>
  containerID !== '' || state?.running !== undefined || state?.terminated !== undefined || restartCount > 0;

export const observedService = ({ spec }: Service): ObservedService =>
  spec?.selector === undefined ? {} : { selector: spec.selector };

/** SHA-256 of the annotations, whatever their order. */
const annotationsDigest = (annotations: Readonly<Record<string, string>>): string => {
  const entries = Object.entries(annotations);
  if (entries.length === 0) return 'none';
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify(sorted), 'base64');
};

/**
 * The key of a request in the queue: its namespace, its node and its name. The queue is fair between namespaces, and in each
 * between nodes.
 */
export const podRequestKey = ({
  namespace,
  name,
  nodeName,
}: Pick<PodRequestRecord, 'namespace' | 'name' | 'nodeName'>): string => `${namespace}/${nodeName}/${name}`;

/** The node in the key of a request. */
export const nodeOfKey = (key: string): string => key.slice(key.indexOf('/') + 1, key.lastIndexOf('/'));

/** The key of a request in the cache. */
export const cacheKeyOf = (key: string): string =>
  `${key.slice(0, key.indexOf('/'))}${key.slice(key.lastIndexOf('/'))}`;

/** The pod of a request, for events. */
export const podReference = ({ namespace, podName, podUid }: PodRequestRecord) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  namespace,
  name: podName,
  uid: podUid,
});
