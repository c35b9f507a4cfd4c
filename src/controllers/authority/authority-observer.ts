import { type Secret, secrets as secretResource } from '../../kube/index.ts';
import type { Crl, Issuer } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type ObservedAuthority,
  planAuthority,
  publishedState,
  type RevocationState,
  rootsInStatus,
  signersIn,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import { publishedCrls, revocationReader } from '../objects/root-crl.ts';
import { rootSecret } from '../objects/root-secret.ts';
import { RolloutObserver, type RolloutSources } from './rollout-observer.ts';

export interface AuthorityObserverOptions extends RolloutSources {
  /** The operator's namespace, where root Secrets are. */
  readonly namespace: string;
  readonly authorityStates: AuthorityStates;
  readonly now: () => Date;
  /** When the term began. Default: the epoch, on a replica that does not lead. */
  readonly leadingSince?: Date;
}

/** What was observed, and the root Secret it was observed in: its keys are needed to carry out the plan. */
export interface AuthorityObservation {
  readonly observed: ObservedAuthority;
  readonly live: Secret | undefined;
}

/**
 * Observes authorities and their root Secrets, and remembers what their root Secrets said of revocation. A term of a leader
 * has an observer of its own: another process has led since the term before.
 */
export class AuthorityObserver {
  readonly #options: AuthorityObserverOptions;
  readonly #rollout: RolloutObserver;
  /** What the root Secret of an authority, by UID, said of revocation when it was last seen. */
  readonly #revocations = new Map<string, RevocationState>();
  /** What was published when an authority was first observed: before this process can overwrite any of it. */
  readonly #published = new Map<string, readonly Crl[]>();
  readonly #readRevocation = revocationReader();

  constructor(options: AuthorityObserverOptions) {
    this.#options = options;
    this.#rollout = new RolloutObserver(options);
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
    // Read from the API server, not from a cache: every decision about a root rests on this Secret, and there are few.
    const live = await client.find(secretResource, { namespace, name: authority.spec.secretName }, { signal });
    const root = { ...common, ...(live === undefined ? {} : { secret: rootSecret(live, now()) }) };
    const revocation = this.#readRevocation(live);
    const revocationBefore = await this.#revocationBefore(authority, revocation, signersIn(root), signal);
    return { observed: { ...root, revocation, revocationBefore }, live };
  }

  /** Remembers what the root Secret of an authority says of revocation, in case somebody overwrites it. */
  remember({ authority, revocation }: ObservedAuthority): void {
    this.#revocations.set(authority.uid, revocation);
  }

  /**
   * Reads the Secrets and published bundles of an authority again from the API server: watches may be late. Whatever is newer
   * than the caches goes into them, and counts in the next observation.
   * @throws KubeError
   */
  confirm = (authority: AuthorityRecord, signal: AbortSignal): Promise<void> => this.#rollout.renew(authority, signal);

  /**
   * Reads the root of an authority and judges it, without writing anything.
   * @throws KubeError
   */
  async refresh(name: string, signal: AbortSignal): Promise<void> {
    const { caches, authorityStates, now } = this.#options;
    const authority = caches.authorities.get(name);
    if (authority === undefined) {
      authorityStates.delete(name);
      return;
    }
    const { observed } = await this.observe(authority, signal);
    authorityStates.set(authority, planAuthority(observed, now()).verdict);
  }

  /** What the root Secret said of revocation when it was last seen; what is published, if it was not seen yet. */
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
