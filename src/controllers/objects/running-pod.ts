import { annotations, crlKey, outputKeys, secretKeys } from '../../api/constants.ts';
import type { KubeObject, Served } from '../../kube/index.ts';
import {
  anyAuthority,
  anyObject,
  authorityOfSigner,
  bundlesOf,
  controllerOf,
  type FrozenContent,
  type PodRecord,
  podCertificatesOf,
  type RotatedPart,
} from '../../plan/index.ts';
import { InternPool } from './intern-pool.ts';

/** The pods that can hold a certificate or roots: those on a node that have not finished. */
export const runningPodSelector = 'spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed';

/** The fields of core/v1 Pod that its record depends on. All of them may be absent. */
interface PodContent extends KubeObject {
  readonly spec?: {
    readonly volumes?: readonly Volume[];
    readonly initContainers?: readonly Container[];
    readonly containers?: readonly Container[];
    readonly ephemeralContainers?: readonly Container[];
  };
  readonly status?: {
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly ephemeralContainerStatuses?: readonly ContainerStatus[];
  };
}

interface KeyToPath {
  readonly key: string;
  readonly path: string;
}

interface Items {
  readonly name?: string;
  readonly items?: readonly KeyToPath[];
}

interface Source {
  readonly secret?: Items;
  readonly configMap?: Items;
  readonly clusterTrustBundle?: { readonly name?: string; readonly signerName?: string; readonly path?: string };
  readonly podCertificate?: {
    readonly signerName?: string;
    readonly credentialBundlePath?: string;
    readonly keyPath?: string;
    readonly certificateChainPath?: string;
  };
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName?: string; readonly items?: readonly KeyToPath[] };
  readonly configMap?: Items;
  readonly projected?: { readonly sources?: readonly Source[] };
  readonly downwardAPI?: object;
}

interface Mount {
  readonly name: string;
  readonly subPath?: string;
  readonly subPathExpr?: string;
  readonly readOnly?: boolean;
}

interface KeyRef {
  readonly name?: string;
  readonly key?: string;
}

interface Container {
  readonly name: string;
  readonly restartPolicy?: string;
  readonly volumeMounts?: readonly Mount[];
  readonly env?: ReadonlyArray<{
    readonly valueFrom?: { readonly secretKeyRef?: KeyRef; readonly configMapKeyRef?: KeyRef };
  }>;
  readonly envFrom?: ReadonlyArray<{
    readonly secretRef?: { readonly name?: string };
    readonly configMapRef?: { readonly name?: string };
  }>;
}

interface ContainerStatus {
  readonly name: string;
  readonly state?: {
    readonly running?: { readonly startedAt?: string };
    readonly terminated?: { readonly startedAt?: string };
    readonly waiting?: object;
  };
}

/** What a volume provides at a path, or what a variable holds. */
interface Content {
  readonly object: string;
  readonly parts: readonly RotatedPart[];
}

/** The most that a record holds. A pod with more counts as one that reads every object, or has certificates of every authority. */
const most = { frozen: 32, characters: 2048, signers: 16 };

/** Pods of one workload share most of their record. A pool of its own, because any user can fill it. */
const internPool = new InternPool(2048);

/** The longest name of an object. A longer name names no object of the operator. */
const longestName = 253;

/**
 * The record of a pod. Undefined for a pod that no rotation has to wait for: it has no podCertificate of an authority, and
 * updates reach whatever else it reads.
 */
export function podRecord(pod: Served<KubeObject>): PodRecord | undefined {
  const { metadata } = pod;
  const { namespace = '', name, uid, resourceVersion } = metadata;
  const createdAtMs = Date.parse(metadata.creationTimestamp);
  const { frozen, startedAtMs } = pod.isPartial ? unread(createdAtMs) : frozenIn(pod, createdAtMs);
  const signers = pod.isPartial ? [anyAuthority] : signersIn(pod);
  if (frozen.length === 0 && signers.length === 0) return undefined;
  const owner = controllerOf(metadata.ownerReferences);
  const isUsable = owner !== undefined && [owner.name, owner.kind, owner.apiVersion].every(isName);
  const restartedFor = metadata.annotations?.[annotations.restartedFor];
  return {
    namespace: internPool.text(namespace),
    name,
    uid,
    resourceVersion,
    createdAtMs,
    startedAtMs,
    frozen: internPool.value(frozen),
    signers: internPool.value(signers),
    ...(isUsable
      ? {
          owner: internPool.value({
            apiVersion: owner.apiVersion,
            kind: owner.kind,
            name: owner.name,
            uid: owner.uid.slice(0, 64),
          }),
        }
      : {}),
    ...(restartedFor === undefined ? {} : { restartedFor: internPool.text(restartedFor.slice(0, longestMark)) }),
  };
}

/** Longer than any value that the operator writes. */
const longestMark = 512;

const isName = (text: string): boolean => text.length <= longestName;

/** The content of a pod whose JSON is so large that it was not parsed. */
const unread = (startedAtMs: number) => ({
  frozen: [{ object: anyObject, parts: ['roots', 'certificate'], by: 'subPath' }] as const,
  startedAtMs,
});

/** The authorities of the podCertificate sources. */
function signersIn({ spec }: PodContent): string[] {
  const sources = (spec?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  const signers = sources.flatMap(({ podCertificate }) => authorityOfSigner(podCertificate?.signerName) ?? []);
  return signers.length > most.signers ? [anyAuthority] : signers;
}

/** The content that the running containers do not read again, and when the first of these containers started. */
function frozenIn(
  pod: PodContent,
  createdAtMs: number,
): { readonly frozen: readonly FrozenContent[]; readonly startedAtMs: number } {
  const { spec = {}, status = {} } = pod;
  const { initContainers = [], containers = [], ephemeralContainers = [] } = spec;
  const statuses = new Map(
    [status.initContainerStatuses, status.containerStatuses, status.ephemeralContainerStatuses].flatMap((list) =>
      (list ?? []).map((one) => [one.name, one] as const),
    ),
  );
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  const lasting = [...initContainers.filter(isSidecar), ...containers, ...ephemeralContainers];
  const shared = writableVolumes(lasting, volumes);
  const updated = new Set(lasting.flatMap(({ volumeMounts = [] }) => volumeMounts.map((mount) => mount.name)));
  const found = new Map<string, FrozenContent>();
  let startedAtMs = Number.POSITIVE_INFINITY;
  const add = (contents: readonly FrozenContent[], holdsSince: number | undefined): void => {
    if (contents.length === 0 || holdsSince === undefined) return;
    startedAtMs = Math.min(startedAtMs, Math.max(createdAtMs, holdsSince));
    for (const one of contents) found.set(`${one.object} ${one.by}`, merged(one, found.get(`${one.object} ${one.by}`)));
  };
  const { namespace = '' } = pod.metadata;
  for (const container of lasting) {
    add(frozenBy(container, namespace, volumes), runningSince(statuses.get(container.name), createdAtMs));
  }
  for (const container of initContainers.filter((one) => !isSidecar(one))) {
    const copies = (container.volumeMounts ?? []).some(({ name, readOnly }) => readOnly !== true && shared.has(name));
    if (copies) add(copiedBy(container, namespace, volumes, updated), ranAt(statuses.get(container.name), createdAtMs));
  }
  const frozen = [...found.values()];
  const characters = frozen.reduce((sum, { object }) => sum + object.length, 0);
  if (frozen.length > most.frozen || characters > most.characters) return unread(startedAtMs);
  return { frozen, startedAtMs: frozen.length === 0 ? createdAtMs : startedAtMs };
}

const merged = (one: FrozenContent, before: FrozenContent | undefined): FrozenContent =>
  before === undefined ? one : { ...one, parts: bothOf([...before.parts, ...one.parts]) };

/** An init container that runs as long as the pod. */
const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';

/** The mounted volumes into which an init container can write. */
function writableVolumes(containers: readonly Container[], volumes: ReadonlyMap<string, Volume>): Set<string> {
  const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  return new Set(
    mounted.filter((name) => {
      const { secret, configMap, projected, downwardAPI } = volumes.get(name) ?? { name };
      return [secret, configMap, projected, downwardAPI].every((one) => one === undefined);
    }),
  );
}

/** Since when a container holds what it read at its start; undefined while it does not run. */
function runningSince(status: ContainerStatus | undefined, createdAtMs: number): number | undefined {
  const { running, terminated, waiting } = status?.state ?? {};
  if (running?.startedAt !== undefined) return moment(running.startedAt, createdAtMs);
  // Without a status, kubelet may have started the container already.
  return terminated === undefined && waiting === undefined ? createdAtMs : undefined;
}

/** When an init container made its copies; undefined before it runs. */
function ranAt(status: ContainerStatus | undefined, createdAtMs: number): number | undefined {
  const startedAt = status?.state?.terminated?.startedAt;
  return startedAt === undefined ? runningSince(status, createdAtMs) : moment(startedAt, createdAtMs);
}

function moment(text: string, otherwiseMs: number): number {
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? otherwiseMs : atMs;
}

/** What a container reads by subPath and in environment variables. */
function frozenBy(
  container: Container,
  namespace: string,
  volumes: ReadonlyMap<string, Volume>,
): readonly FrozenContent[] {
  const mounted = (container.volumeMounts ?? [])
    .filter(isSubPath)
    .flatMap((mount) => contentsAt(volumes.get(mount.name), namespace, mount))
    .map((one) => ({ ...one, by: 'subPath' as const }));
  return [...mounted, ...variablesOf(container, namespace).map((one) => ({ ...one, by: 'variable' as const }))];
}

/** What an init container may have copied for the other containers: what it reads and they do not mount. */
const copiedBy = (
  container: Container,
  namespace: string,
  volumes: ReadonlyMap<string, Volume>,
  updated: ReadonlySet<string>,
): readonly FrozenContent[] =>
  [
    ...(container.volumeMounts ?? [])
      .filter(({ name }) => !updated.has(name))
      .flatMap((mount) => contentsAt(volumes.get(mount.name), namespace, mount)),
    ...variablesOf(container, namespace),
  ].map((one) => ({ ...one, by: 'copy' as const }));

const isSubPath = ({ subPath = '', subPathExpr = '' }: Mount): boolean => subPath !== '' || subPathExpr !== '';

/** What a volume provides at a mount: the whole volume, or one path of it. */
function contentsAt(volume: Volume | undefined, namespace: string, mount: Mount): readonly Content[] {
  if (volume === undefined) return [];
  // The value of an expression is known only to kubelet.
  const path = mount.subPathExpr === undefined ? mount.subPath : undefined;
  const { secret, configMap, projected } = volume;
  return [
    ...(secret?.secretName === undefined
      ? []
      : contentOf({ secret: { ...secret, name: secret.secretName } }, namespace, path)),
    ...(configMap === undefined ? [] : contentOf({ configMap }, namespace, path)),
    ...(projected?.sources ?? []).flatMap((source) => contentOf(source, namespace, path)),
  ];
}

function contentOf(source: Source, namespace: string, path: string | undefined): readonly Content[] {
  const { secret, configMap, clusterTrustBundle: bundle, podCertificate } = source;
  if (secret?.name !== undefined) return ofKeys(`${namespace}/${secret.name}`, keysAt(secret, path), partsOfKey);
  if (configMap?.name !== undefined) {
    return ofKeys(`ConfigMap ${namespace}/${configMap.name}`, keysAt(configMap, path), rootsOfKey);
  }
  if (bundle !== undefined && isAt(path, bundle.path)) {
    const authority = authorityOfSigner(bundle.signerName);
    if (bundle.name !== undefined) return content(`ClusterTrustBundle ${bundle.name}`, ['roots']);
    return authority === undefined ? [] : content(bundlesOf(authority), ['roots']);
  }
  if (podCertificate !== undefined) {
    const { credentialBundlePath, keyPath, certificateChainPath } = podCertificate;
    const isRead = [credentialBundlePath, keyPath, certificateChainPath].some((one) => isAt(path, one));
    const authority = authorityOfSigner(podCertificate.signerName);
    return isRead && authority !== undefined ? content(podCertificatesOf(authority), ['certificate']) : [];
  }
  return [];
}

const content = (object: string, parts: readonly RotatedPart[]): readonly Content[] =>
  parts.length === 0 || object.length > longestObject ? [] : [{ object, parts }];
/** The longest namespace and name with a kind. */
const longestObject = 64 + longestName + 32;

/** True when a file or the folder that holds it is mounted. @param path undefined: the whole volume */
const isAt = (path: string | undefined, file: string | undefined): boolean =>
  file !== undefined && (path === undefined || path === '' || file === path || file.startsWith(`${path}/`));

/** The keys that a source provides at a path; undefined: any key. */
function keysAt({ items }: Items, path: string | undefined): readonly string[] | undefined {
  if (items !== undefined) return items.filter((one) => isAt(path, one.path)).map(({ key }) => key);
  return path === undefined || path === '' ? undefined : [path];
}

const ofKeys = (
  object: string,
  keys: readonly string[] | undefined,
  partsOf: (key: string) => readonly RotatedPart[],
): readonly Content[] => content(object, bothOf(keys === undefined ? partsOf('') : keys.flatMap(partsOf)));

/** The parts in an order that does not depend on the pod. */
const bothOf = (parts: readonly RotatedPart[]): readonly RotatedPart[] =>
  (['roots', 'certificate'] as const).filter((part) => parts.includes(part));

/** What a program reads under a key of a Secret. An unknown key may be any. */
function partsOfKey(key: string): readonly RotatedPart[] {
  switch (key) {
    case secretKeys.bundle:
    case outputKeys.truststore:
      return ['roots'];
    case secretKeys.certificate:
    case secretKeys.privateKey:
    case outputKeys.combinedPem:
    case outputKeys.der:
    case outputKeys.keystore:
      return ['certificate'];
    case crlKey:
      return [];
    default:
      return ['roots', 'certificate'];
  }
}

/** What a program reads under a key of a ConfigMap with a bundle. */
const rootsOfKey = (key: string): readonly RotatedPart[] => (key === crlKey ? [] : ['roots']);

function variablesOf({ env = [], envFrom = [] }: Container, namespace: string): readonly Content[] {
  return [
    ...env.flatMap(({ valueFrom: { secretKeyRef: secret, configMapKeyRef: configMap } = {} }) => [
      ...(secret?.name === undefined ? [] : ofKeys(`${namespace}/${secret.name}`, [secret.key ?? ''], partsOfKey)),
      ...(configMap?.name === undefined
        ? []
        : ofKeys(`ConfigMap ${namespace}/${configMap.name}`, [configMap.key ?? ''], rootsOfKey)),
    ]),
    ...envFrom.flatMap(({ secretRef, configMapRef }) => [
      ...(secretRef?.name === undefined ? [] : ofKeys(`${namespace}/${secretRef.name}`, undefined, partsOfKey)),
      ...(configMapRef?.name === undefined
        ? []
        : ofKeys(`ConfigMap ${namespace}/${configMapRef.name}`, undefined, rootsOfKey)),
    ]),
  ];
}
