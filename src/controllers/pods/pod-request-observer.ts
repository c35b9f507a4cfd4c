import type { KeyObject } from 'node:crypto';
import {
  type GuardedClient,
  Limiter,
  namespaces as namespaceResource,
  pods,
  type Store,
  services,
} from '../../kube/index.ts';
import { describeKey, PkiError, parsePublicKey } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type KnownNamespace,
  type NamespaceRecord,
  type ObservedPod,
  type ObservedPodRequest,
  type ObservedService,
  type PodRequestRecord,
  readUserAnnotations,
  sourceOfRequest,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import { rulesReader } from '../objects/authority-rules.ts';
import { observedPod, observedService } from '../objects/pod-objects.ts';
import { authorityRecord, authorities as authorityResource, namespaceRecord } from '../objects/resources.ts';

export interface PodRequestObserverOptions {
  readonly client: GuardedClient;
  readonly authorities: Pick<Store<AuthorityRecord>, 'get' | 'observe'>;
  readonly namespaces: Pick<Store<NamespaceRecord>, 'observe'>;
  /** See Caches.namespace. */
  readonly namespace: (name: string) => KnownNamespace | undefined;
  readonly authorityStates: Pick<AuthorityStates, 'get' | 'material' | 'uidOf'>;
}

/** An observed request, the key that it requests a certificate for, and the signing material of its authority. */
export interface PodRequestObservation {
  readonly observed: ObservedPodRequest;
  /** Undefined when no certificate may have the key. */
  readonly publicKey: KeyObject | undefined;
  readonly material: SigningMaterial | undefined;
}

/** The objects that are read from the API server for a request. */
interface Live {
  readonly pod: ObservedPod | undefined;
  readonly services: ReadonlyMap<string, ObservedService | undefined>;
}

/**
 * How many pods are read at the same time. A pod may have a megabyte: with a read for each worker, the pods of a few tenants would
 * fill the memory, and keep the processor busy for longer than the Lease lasts.
 */
const mostPodReads = 8;

/**
 * Gathers everything that the answer to a request depends on. It reads the pod and its Services from the API server: a request is
 * only as good as the live pod.
 */
export class PodRequestObserver {
  readonly #options: PodRequestObserverOptions;
  readonly #rulesOf = rulesReader();
  readonly #podReads = new Limiter(mostPodReads);

  constructor(options: PodRequestObserverOptions) {
    this.#options = options;
  }

  /**
   * Undefined when the authority does not exist or is no signer for pods: nothing answers the request.
   * @throws KubeError
   */
  async observe(request: PodRequestRecord, signal: AbortSignal): Promise<PodRequestObservation | undefined> {
    if (!this.isServed(request)) return undefined;
    const live = await this.#read(request, signal);
    return this.#combine(request, live);
  }

  /**
   * Reads the authority and the namespace from the API server, because watches may be late. Newer versions go into the caches.
   * @throws KubeError
   */
  async renew(
    request: PodRequestRecord,
    { observed }: PodRequestObservation,
    signal: AbortSignal,
  ): Promise<PodRequestObservation | undefined> {
    const { client, authorities, namespaces } = this.#options;
    // RBAC permits lists, and a list of one name is as current as a get.
    const [foundAuthorities, foundNamespaces] = await Promise.all([
      client.list(authorityResource, { fieldSelector: `metadata.name=${request.authority}`, signal }),
      client.list(namespaceResource, {
        fieldSelector: `metadata.name=${request.namespace}`,
        metadataOnly: true,
        signal,
      }),
    ]);
    for (const one of foundAuthorities.items) authorities.observe(authorityRecord(one));
    for (const one of foundNamespaces.items) namespaces.observe(namespaceRecord(one));
    return this.#combine(request, observed);
  }

  /** False for a request to an authority that does not exist or is no signer for pods. */
  isServed({ authority }: PodRequestRecord): boolean {
    return this.#options.authorities.get(authority)?.spec.podCertificates !== undefined;
  }

  /** Adds what the caches know now to what was read from the API server. */
  #combine(request: PodRequestRecord, live: Live): PodRequestObservation | undefined {
    const { authorities, authorityStates, namespace } = this.#options;
    const authority = authorities.get(request.authority);
    const podCertificates = authority?.spec.podCertificates;
    if (authority === undefined || podCertificates === undefined) return undefined;
    // An earlier authority of this name may have had another root. A certificate of that root would stay in the pod for hours.
    const isRead = authorityStates.uidOf(request.authority) === authority.uid;
    const state = isRead ? authorityStates.get(request.authority) : ({ state: 'unknown' } as const);
    const publicKey = publicKeyOf(request);
    const isUsable = typeof publicKey !== 'string';
    return {
      observed: {
        request,
        key: isUsable ? { kind: describeKey(publicKey) } : { problem: publicKey },
        podCertificates,
        authority: { ...state, ...this.#rulesOf(authority) },
        namespace: namespace(request.namespace),
        pod: live.pod,
        services: live.services,
      },
      publicKey: isUsable ? publicKey : undefined,
      material: isRead ? authorityStates.material(request.authority) : undefined,
    };
  }

  async #read(request: PodRequestRecord, signal: AbortSignal): Promise<Live> {
    const { client } = this.#options;
    const { namespace, podName, authority } = request;
    const pod = await this.#podReads.run(async () => {
      const found = await client.find(pods, { namespace, name: podName }, { signal });
      return found && observedPod(found, authority);
    });
    const source = pod && sourceOfRequest(request, pod);
    const names = source && readUserAnnotations(source.annotations);
    const wanted = names !== undefined && 'services' in names ? names.services : [];
    const read = wanted.map(async (name) => {
      const service = await client.find(services, { namespace, name }, { signal });
      return [name, service && observedService(service)] as const;
    });
    return { pod, services: new Map(await Promise.all(read)) };
  }
}

/** The public key, or why no certificate may have it. */
function publicKeyOf({ key }: PodRequestRecord): KeyObject | string {
  if ('problem' in key) return key.problem;
  try {
    return parsePublicKey(key.publicKey);
  } catch (error) {
    if (error instanceof PkiError) return error.message;
    throw error;
  }
}
