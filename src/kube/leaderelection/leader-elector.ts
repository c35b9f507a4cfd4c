import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '../api/client.ts';
import type { CallOptions } from '../api/client-options.ts';
import { isKubeError } from '../api/kube-error.ts';
import type { Log } from '../api/log.ts';
import { microTimestamp } from '../api/micro-timestamp.ts';
import type { Served } from '../api/object.ts';
import { type Lease, leases } from '../api/resource.ts';
import { onAbort } from '../async/abort.ts';
import { sleep } from '../async/backoff.ts';
import { defaultLeaseTiming, jitterFactor, type LeaseTiming, leaseTimingProblem } from './lease-timing.ts';

/** The time of a LeaderElector; tests bring their own. */
export interface ElectorClock {
  /** Milliseconds that only go forward. */
  now(): number;
  /** Resolves after so many milliseconds, or at once when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** `leaseDurationMs` is 15 s unless given, `renewDeadlineMs` 10 s, `retryPeriodMs` 2 s. */
export interface LeaderElectorOptions extends Partial<LeaseTiming> {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique among the candidates; the name of the pod will do. */
  readonly identity: string;
  readonly log: Log;
  readonly clock?: ElectorClock | undefined;
  readonly onTransition?: ((leading: boolean) => void) | undefined;
}

const systemClock: ElectorClock = { now: () => performance.now(), sleep };

const longestReleaseMs = 5_000;

/**
 * What to do as the leader. `leadership` aborts when it is time to stop, for whatever reason. `lost` aborts only when the
 * Lease is lost: another may lead already, and a write under way must not go on.
 */
export type RunAsLeader = (leadership: AbortSignal, lost: AbortSignal) => Promise<void>;

/**
 * Leader election by a Lease, as in client-go: whether another's Lease has expired is judged by how long it has not been
 * seen to change, on this machine's monotonic clock, never by the times written in it; every write has a resourceVersion
 * precondition, so that of two candidates one gets it.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #timing: LeaseTiming;
  readonly #clock: ElectorClock;
  #observed: { readonly lease: Served<Lease>; readonly atMs: number } | undefined;
  /** When the last write that took or renewed the Lease was begun: from then on its renewal counts for everybody. */
  #renewedAtMs = 0;
  /** The last attempt failed: what was observed may be old. */
  #conflicted = false;
  #isLeader = false;

  /** Throws a RangeError when the durations do not leave room for each other. */
  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = { ...defaultLeaseTiming, ...options };
    this.#timing = { leaseDurationMs, renewDeadlineMs, retryPeriodMs };
    const problem = leaseTimingProblem(this.#timing, settingNames);
    if (problem !== undefined) throw new RangeError(problem);
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Who holds the Lease, as last seen. */
  get holder(): string | undefined {
    return this.#observed?.lease.spec?.holderIdentity || undefined;
  }

  /**
   * Campaigns, and leads when elected; after a lost Lease it campaigns again. Resolves when `signal` has aborted or `lead`
   * has returned by itself, with the Lease released; throws what `lead` throws.
   */
  async run(signal: AbortSignal, lead: RunAsLeader): Promise<void> {
    while (await this.#acquire(signal)) {
      if (await this.#lead(signal, lead)) return;
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#attempt(signal, this.#clock.now() + this.#timing.renewDeadlineMs)) return true;
      await this.#clock.sleep(this.#timing.retryPeriodMs * (1 + Math.random() * (jitterFactor - 1)), signal);
    }
    return false;
  }

  /** Returns false when the Lease was lost. */
  async #lead(signal: AbortSignal, lead: RunAsLeader): Promise<boolean> {
    const leadership = new AbortController();
    const lost = new AbortController();
    const over = new AbortController();
    const stopListening = onAbort(signal, () => leadership.abort());
    this.#transition(true);
    // While `lead` finishes its work after a stop the Lease is still renewed: nobody else may begin before.
    const renewing = this.#renew(over.signal, () => {
      this.#transition(false);
      lost.abort();
      leadership.abort();
    });
    try {
      await lead(leadership.signal, lost.signal);
    } catch (error) {
      if (!lost.signal.aborted) throw error;
      this.#options.log.warn('work as the leader ended with an error after the lease was lost', { error });
    } finally {
      over.abort();
      await renewing;
      stopListening();
      if (!lost.signal.aborted) {
        await this.#release();
        this.#transition(false);
      }
    }
    return !lost.signal.aborted;
  }

  /** Renews until `over` aborts, or the Lease is lost: at the latest one renew deadline after the last renewal was begun. */
  async #renew(over: AbortSignal, onLost: () => void): Promise<void> {
    const { renewDeadlineMs, retryPeriodMs } = this.#timing;
    const leftMs = (): number => this.#renewedAtMs + renewDeadlineMs - this.#clock.now();
    for (;;) {
      await this.#clock.sleep(Math.min(retryPeriodMs, Math.max(0, leftMs())), over);
      if (over.aborted) return;
      if (leftMs() <= 0) return onLost();
      const renewed = await this.#attempt(over, this.#renewedAtMs + renewDeadlineMs);
      if (over.aborted) return;
      if (!renewed && this.holder !== this.#options.identity) return onLost();
    }
  }

  /** Takes or renews the Lease if that is possible until then: the requests of one attempt share that time. */
  async #attempt(signal: AbortSignal, endsAtMs: number): Promise<boolean> {
    const { client, lease: ref, identity, log } = this.#options;
    const options = (): RequestTime => ({ signal, timeoutMs: Math.max(0, endsAtMs - this.#clock.now()) });
    try {
      // A leader knows the last revision: it wrote it itself.
      const known = this.#isLeader && !this.#conflicted ? this.#observed?.lease : undefined;
      const lease = known ?? (await client.get(leases, ref, options()));
      this.#observe(lease);
      if (!this.#mayTake(lease)) return false;
      await this.#write(() => client.replace(leases, { ...lease, spec: this.#claim(lease.spec) }, options()));
      this.#conflicted = false;
      return true;
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) {
        this.#conflicted = true;
        const ordinary = signal.aborted || isKubeError(error, 'Conflict');
        log[ordinary ? 'debug' : 'warn']('the lease was not written', { lease: ref.name, identity, error });
        return false;
      }
      return this.#create(options());
    }
  }

  async #create(options: RequestTime): Promise<boolean> {
    const { client, lease: metadata, identity, log } = this.#options;
    try {
      await this.#write(() => client.create(leases, { metadata, spec: this.#claim({}) }, options));
      return true;
    } catch (error) {
      log.warn('the lease was not created', { lease: metadata.name, identity, error });
      return false;
    }
  }

  /** Sends a write that takes or renews the Lease. Throws what it throws. */
  async #write(send: () => Promise<Served<Lease>>): Promise<void> {
    const startedAtMs = this.#clock.now();
    this.#observe(await send());
    this.#renewedAtMs = startedAtMs;
  }

  /** Gives the Lease up, so that the next leader need not wait for it to expire. */
  async #release(): Promise<void> {
    const { client, lease: ref, identity, log } = this.#options;
    // Worth a wait: without it nobody leads for the rest of the lease duration. Not a long one: the process is to end.
    const endsAtMs = this.#clock.now() + Math.min(longestReleaseMs, this.#timing.renewDeadlineMs / 2);
    const leftMs = (): number => Math.max(0, endsAtMs - this.#clock.now());
    for (;;) {
      try {
        const lease = await client.get(leases, ref, { timeoutMs: leftMs() });
        if (lease.spec?.holderIdentity !== identity) return;
        const spec = { ...this.#claim(lease.spec), holderIdentity: '', leaseDurationSeconds: 1 };
        this.#observe(await client.replace(leases, { ...lease, spec }, { timeoutMs: leftMs() }));
        return;
      } catch (error) {
        // A renewal that was cut short may still have reached the server, and changed the revision.
        if (isKubeError(error, 'Conflict') && leftMs() > 0) continue;
        log.warn('the lease was not released', { lease: ref.name, identity, error });
        return;
      }
    }
  }

  #observe(lease: Served<Lease>): void {
    const changed = !isDeepStrictEqual(lease.spec, this.#observed?.lease.spec);
    this.#observed = { lease, atMs: changed ? this.#clock.now() : (this.#observed?.atMs ?? 0) };
  }

  #mayTake({ spec }: Lease): boolean {
    if (!spec?.holderIdentity || spec.holderIdentity === this.#options.identity) return true;
    const durationMs =
      spec.leaseDurationSeconds === undefined ? this.#timing.leaseDurationMs : spec.leaseDurationSeconds * 1000;
    return this.#clock.now() - (this.#observed?.atMs ?? 0) >= durationMs;
  }

  #claim(before: Lease['spec'] = {}): NonNullable<Lease['spec']> {
    const { identity } = this.#options;
    const now = microTimestamp(new Date());
    const same = before.holderIdentity === identity;
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: this.#timing.leaseDurationMs / 1000,
      acquireTime: (same ? before.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (same || before.holderIdentity === undefined ? 0 : 1),
    };
  }

  #transition(leading: boolean): void {
    const { log, onTransition, identity, lease } = this.#options;
    this.#isLeader = leading;
    log.info(leading ? 'became the leader' : 'no longer the leader', { lease: lease.name, identity });
    onTransition?.(leading);
  }
}

const settingNames = {
  leaseDurationMs: 'leaseDurationMs',
  renewDeadlineMs: 'renewDeadlineMs',
  retryPeriodMs: 'retryPeriodMs',
};

type RequestTime = Required<Pick<CallOptions, 'signal' | 'timeoutMs'>>;
