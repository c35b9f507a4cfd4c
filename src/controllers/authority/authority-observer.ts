import { type Secret, secrets as secretResource } from '../../kube/index.ts';
import type { Crl, Issuer } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  mergePodLeaves,
  type ObservedAuthority,
  type ObservedPodLeaves,
  planAuthority,
  podLeavesInStatus,
  publishedState,
  type RevocationState,
  rootsInStatus,
  signersIn,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import { publishedCrls, revocationReader } from '../objects/root-crl.ts';
import { rootSecret } from '../objects/root-secret.ts';
import type { PodLeafRequests } from './pod-leaf-requests.ts';
import { RolloutObserver, type RolloutSources } from './rollout-observer.ts';
import { RootSources } from './root-sources.ts';

export interface AuthorityObserverOptions extends RolloutSources {
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  readonly authorityStates: AuthorityStates;
  /** The certificates for pods that wait for a record. Only a leader signs any. */
  readonly podLeafRequests?: PodLeafRequests;
  readonly now: () => Date;
  /** Start of the leader's term. Default, for a replica that does not lead: the epoch. */
  readonly leadingSince?: Date;
}

/** An observed authority with its root Secret. The Secret includes the keys, which the plan may have to move. */
export interface AuthorityObservation {
  readonly observed: ObservedAuthority;
  readonly live: Secret | undefined;
}

/**
 * Observes authorities and their root Secrets, and remembers the CRLs and revocations in them. Each term of a leader creates
 * its own observer, because another process may have led since the previous term.
 */
export class AuthorityObserver {
  readonly #options: AuthorityObserverOptions;
  readonly #rollout: RolloutObserver;
  readonly #sources: RootSources;
  /** By UID of authority: the revocations that this process last read from its root Secret. */
  readonly #revocations = new Map<string, RevocationState>();
  /** By UID of authority: the CRLs that were published before this process could overwrite them. */
  readonly #published = new Map<string, readonly Crl[]>();
  readonly #readRevocation = revocationReader();

  constructor(options: AuthorityObserverOptions) {
    this.#options = options;
    this.#rollout = new RolloutObserver(options);
    this.#sources = new RootSources(options);
  }

  /** @throws KubeError */
  async observe(authority: AuthorityRecord, signal: AbortSignal): Promise<AuthorityObservation> {
    const { client, namespace, caches, authorityStates, leadingSince = new Date(0), now } = this.#options;
    const issuerInMemory = authorityStates.material(authority.name)?.issuer?.root;
    const common = {
      authority,
      certificates: caches.certificates.count('authority', authority.name),
      rollout: this.#rollout.gather(authority),
      requestedRevocations: caches.leavesToRevoke(authority.name, now()),
      ...(issuerInMemory === undefined ? {} : { issuerInMemory }),
      leadingSince,
    };
    // Not from a cache: every decision about a root depends on this Secret, and there are few of them.
    const live = await client.find(secretResource, { namespace, name: authority.spec.secretName }, { signal });
    const root = { ...common, ...(live === undefined ? {} : { secret: rootSecret(live, now()) }) };
    const isRotating = root.secret?.rotation !== undefined || authority.status.rotation !== undefined;
    const sources = await this.#sources.observe(authority, isRotating, signal);
    const podLeaves = this.#podLeaves(root);
    const revocation = this.#readRevocation(live);
    const revocationBefore = await this.#revocationBefore(authority, revocation, signersIn(root), signal);
    const requestedPodLeaves = this.#options.podLeafRequests?.of(authority.name);
    const observed = {
      ...root,
      podLeaves,
      ...(requestedPodLeaves === undefined ? {} : { requestedPodLeaves }),
      revocation,
      revocationBefore,
      ...(sources === undefined ? {} : { sources }),
    };
    return { observed, live };
  }

  /** Until when pods may hold certificates, from the root Secret, and from status and memory in case another client overwrote it. */
  #podLeaves({ authority, secret }: Pick<ObservedAuthority, 'authority' | 'secret'>): ObservedPodLeaves {
    const state = this.#options.authorityStates.get(authority.name);
    const known = state.state === 'ready' ? state.podLeaves : undefined;
    const records = [secret?.podLeaves, known, podLeavesInStatus(authority.status)].filter((one) => one !== undefined);
    const serverTime = this.#options.client.serverTime();
    return { ...mergePodLeaves(...records), ...(serverTime === undefined ? {} : { serverTime }) };
  }

  /** Forgets a deleted authority. */
  forget(name: string): void {
    this.#sources.forget(name);
  }

  /** Remembers the revocations in the root Secret of an authority, in case another client overwrites the Secret. */
  remember({ authority, revocation }: ObservedAuthority): void {
    this.#revocations.set(authority.uid, revocation);
  }

  /**
   * Reads the Secrets and published bundles of an authority again from the API server, because watches may be late. Newer
   * objects go into the caches and count in the next observation.
   * @throws KubeError
   */
  confirm = (authority: AuthorityRecord, signal: AbortSignal): Promise<void> => this.#rollout.renew(authority, signal);

  /**
   * Reads and validates the root of an authority. Writes nothing.
   * @throws KubeError
   */
  async refresh(name: string, signal: AbortSignal): Promise<void> {
    const { caches, authorityStates, now } = this.#options;
    const authority = caches.authorities.get(name);
    if (authority === undefined) {
      authorityStates.delete(name);
      this.forget(name);
      return;
    }
    const { observed } = await this.observe(authority, signal);
    authorityStates.set(authority, planAuthority(observed, now()).verdict);
  }

  /** The revocations that this process last read from the root Secret; before the first read, those in the published CRLs. */
  async #revocationBefore(
    authority: AuthorityRecord,
    revocation: RevocationState,
    signers: readonly Issuer[],
    signal: AbortSignal,
  ): Promise<RevocationState> {
    const seen = this.#revocations.get(authority.uid);
    if (seen !== undefined) return seen;
    const { client, namespace } = this.#options;
    const published = this.#published.get(authority.uid) ?? (await publishedCrls(client, namespace, authority, signal));
    this.#published.set(authority.uid, published);
    return publishedState(published, revocation, signers, rootsInStatus(authority.status));
  }
}
