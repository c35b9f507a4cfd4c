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

/** The time of a LeaderElector. Tests replace it. */
export interface ElectorClock {
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** Resolves after `ms` milliseconds, or when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Defaults: `leaseDurationMs` 15 s, `renewDeadlineMs` 10 s, `retryPeriodMs` 2 s. */
export interface LeaderElectorOptions extends Partial<LeaseTiming> {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique among the candidates, for instance the name of the pod. */
  readonly identity: string;
  readonly log: Log;
  readonly clock?: ElectorClock | undefined;
  readonly onTransition?: ((leading: boolean) => void) | undefined;
}

const systemClock: ElectorClock = { now: () => performance.now(), sleep };

const longestReleaseMs = 5_000;

/**
 * The work of the leader. `leadership` aborts when the work must stop. `lost` aborts only when the Lease is lost: another replica
 * may lead already, so writes in progress must be aborted.
 */
export type RunAsLeader = (leadership: AbortSignal, lost: AbortSignal) => Promise<void>;

/**
 * Leader election by a Lease, as in client-go. A candidate measures on its own monotonic clock how long the Lease has not
 * changed; it never compares the times in the Lease with its own clock. Every write has a resourceVersion precondition, so that
 * only one of two candidates succeeds.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #timing: LeaseTiming;
  readonly #clock: ElectorClock;
  #observed: { readonly lease: Served<Lease>; readonly atMs: number } | undefined;
  /** When the last successful write of the Lease started. Other candidates count from a later moment, so this leader stops first. */
  #renewedAtMs = 0;
  /** The last attempt failed, so the observed Lease may be outdated. */
  #conflicted = false;
  #isLeader = false;

  /** @throws RangeError when leaseTimingProblem reports a problem */
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

  /** The holder of the Lease that was last observed. */
  get holder(): string | undefined {
    return this.#observed?.lease.spec?.holderIdentity || undefined;
  }

  /**
   * Waits for the Lease and calls `lead` as the leader. After a lost Lease it waits again. Resolves, with the Lease released, when
   * `signal` has aborted or `lead` has returned. Throws the error that `lead` throws, unless the Lease was lost.
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

  /** Leads once. Returns false if the Lease was lost. */
  async #lead(signal: AbortSignal, lead: RunAsLeader): Promise<boolean> {
    const leadership = new AbortController();
    const lost = new AbortController();
    const over = new AbortController();
    const stopListening = onAbort(signal, () => leadership.abort());
    this.#transition(true);
    // The Lease is also renewed while `lead` finishes its work after a stop, so that no other replica starts before that.
    const renewing = this.#renew(over.signal, () => {
      this.#transition(false);
      lost.abort();
      leadership.abort();
    });
    try {
      await lead(leadership.signal, lost.signal);
    } catch (error) {
      if (!lost.signal.aborted) throw error;
      this.#options.log.warn('the leader stopped with an error after the Lease was lost', { error });
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

  /** Renews until `over` aborts or the Lease is lost, at the latest one renew deadline after the start of the last renewal. */
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

  /** Tries to acquire or renew the Lease. All requests of the attempt must end before `endsAtMs`. */
  async #attempt(signal: AbortSignal, endsAtMs: number): Promise<boolean> {
    const { client, lease: ref, identity, log } = this.#options;
    const options = (): RequestTime => ({ signal, timeoutMs: Math.max(0, endsAtMs - this.#clock.now()) });
    try {
      // The leader wrote the last revision itself and need not read it.
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
        const isExpected = signal.aborted || isKubeError(error, 'Conflict');
        log[isExpected ? 'debug' : 'warn']('could not write the Lease', { lease: ref.name, identity, error });
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
      log.warn('could not create the Lease', { lease: metadata.name, identity, error });
      return false;
    }
  }

  /** Sends a write that acquires or renews the Lease. Throws the error of the request. */
  async #write(send: () => Promise<Served<Lease>>): Promise<void> {
    const startedAtMs = this.#clock.now();
    this.#observe(await send());
    this.#renewedAtMs = startedAtMs;
  }

  /** Releases the Lease, so that the next leader does not have to wait for its expiry. */
  async #release(): Promise<void> {
    const { client, lease: ref, identity, log } = this.#options;
    // A Lease that is not released leaves the cluster without a leader until it expires. But the process must end soon.
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
        // An aborted renewal may still have reached the API server and changed the resourceVersion.
        if (isKubeError(error, 'Conflict') && leftMs() > 0) continue;
        log.warn('could not release the Lease', { lease: ref.name, identity, error });
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
