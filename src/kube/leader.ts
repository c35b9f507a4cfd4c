import { isDeepStrictEqual } from 'node:util';
import { sleep } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { microTimestamp } from './conditions.ts';
import { isKubeError } from './error.ts';
import type { Log } from './log.ts';
import type { Served } from './object.ts';
import { type Lease, leases } from './resource.ts';

export interface LeaderElectorOptions {
  readonly client: KubeClient;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique among the candidates; the name of the pod will do. */
  readonly identity: string;
  /** After which a Lease that was not renewed may be taken by another. Default 15 s. Whole seconds. */
  readonly leaseDurationMs?: number | undefined;
  /** After which a leader that could not renew stops leading. Default 10 s; below the lease duration. */
  readonly renewDeadlineMs?: number | undefined;
  /** Between two attempts. Default 2 s; below the renew deadline. */
  readonly retryPeriodMs?: number | undefined;
  readonly log: Log;
  readonly onTransition?: ((leading: boolean) => void) | undefined;
}

// client-go's JitterFactor: candidates come back after one to 1.2 retry periods, not all at once.
const jitterFactor = 1.2;

/**
 * What to do as the leader. `leadership` aborts when it is time to stop, for whatever reason. `lost` aborts only when the
 * Lease is lost: another may lead already, and a write under way must not go on.
 */
export type Lead = (leadership: AbortSignal, lost: AbortSignal) => Promise<void>;

/**
 * Leader election by a Lease, as in client-go: whether another's Lease has expired is judged by how long it has not been
 * seen to change, on this machine's monotonic clock, never by the times written in it; every write has a resourceVersion
 * precondition, so that of two candidates one gets it.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  #observed: { readonly lease: Served<Lease>; readonly atMs: number } | undefined;
  /** When the last request that took or renewed the Lease was begun. */
  #renewedAtMs = 0;
  /** The last attempt failed: what was observed may be old. */
  #conflicted = false;
  #isLeader = false;

  /** Throws a RangeError when the durations do not leave room for each other. */
  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs)
      throw new RangeError('leaseDurationMs must be above renewDeadlineMs');
    // As in client-go: one attempt, with its jitter, must fit.
    if (this.#renewDeadlineMs <= this.#retryPeriodMs * jitterFactor) {
      throw new RangeError(`renewDeadlineMs must be above ${jitterFactor} times retryPeriodMs`);
    }
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
  async run(signal: AbortSignal, lead: Lead): Promise<void> {
    while (await this.#acquire(signal)) {
      if (await this.#lead(signal, lead)) return;
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#attempt(signal, this.#renewDeadlineMs)) return true;
      await sleep(this.#retryPeriodMs * (1 + Math.random() * (jitterFactor - 1)), signal);
    }
    return false;
  }

  /** Returns false when the Lease was lost. */
  async #lead(signal: AbortSignal, lead: Lead): Promise<boolean> {
    const leadership = new AbortController();
    const lost = new AbortController();
    const over = new AbortController();
    const stop = (): void => leadership.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
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
      signal.removeEventListener('abort', stop);
      if (!lost.signal.aborted) {
        await this.#release();
        this.#transition(false);
      }
    }
    return !lost.signal.aborted;
  }

  /** Renews until `over` aborts, or the Lease is lost. */
  async #renew(over: AbortSignal, onLost: () => void): Promise<void> {
    for (;;) {
      const leftMs = this.#renewedAtMs + this.#renewDeadlineMs - performance.now();
      await sleep(Math.min(this.#retryPeriodMs, Math.max(0, leftMs)), over);
      if (over.aborted) return;
      const timeoutMs = this.#renewedAtMs + this.#renewDeadlineMs - performance.now();
      const renewed = timeoutMs > 0 && (await this.#attempt(over, timeoutMs));
      if (over.aborted) return;
      if (!renewed && (timeoutMs <= 0 || this.holder !== this.#options.identity)) return onLost();
    }
  }

  /** Takes or renews the Lease if that is possible now. */
  async #attempt(signal: AbortSignal, timeoutMs: number): Promise<boolean> {
    const { client, lease: ref, identity, log } = this.#options;
    const startedAtMs = performance.now();
    const options = { signal, timeoutMs };
    try {
      // A leader knows the last revision: it wrote it itself.
      const known = this.#isLeader && !this.#conflicted ? this.#observed?.lease : undefined;
      const lease = known ?? (await client.get(leases, ref, options));
      this.#observe(lease);
      if (!this.#mayTake(lease)) return false;
      this.#observe(await client.replace(leases, { ...lease, spec: this.#claim(lease.spec) }, options));
      this.#conflicted = false;
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) {
        this.#conflicted = true;
        const ordinary = signal.aborted || isKubeError(error, 'Conflict');
        log[ordinary ? 'debug' : 'warn']('the lease was not written', { lease: ref.name, identity, error });
        return false;
      }
      if (!(await this.#create(options))) return false;
    }
    this.#renewedAtMs = startedAtMs;
    return true;
  }

  async #create(options: { signal: AbortSignal; timeoutMs: number }): Promise<boolean> {
    const { client, lease: metadata, identity, log } = this.#options;
    try {
      this.#observe(await client.create(leases, { metadata, spec: this.#claim({}) }, options));
      return true;
    } catch (error) {
      log.warn('the lease was not created', { lease: metadata.name, identity, error });
      return false;
    }
  }

  /** Gives the Lease up, so that the next leader need not wait for it to expire. */
  async #release(): Promise<void> {
    const { client, lease: ref, identity, log } = this.#options;
    // Worth a wait: without it nobody leads for the rest of the lease duration.
    const endsAtMs = performance.now() + this.#renewDeadlineMs / 2;
    for (;;) {
      try {
        const timeoutMs = Math.max(0, endsAtMs - performance.now());
        const lease = await client.get(leases, ref, { timeoutMs });
        if (lease.spec?.holderIdentity !== identity) return;
        const spec = { ...this.#claim(lease.spec), holderIdentity: '', leaseDurationSeconds: 1 };
        this.#observe(await client.replace(leases, { ...lease, spec }, { timeoutMs }));
        return;
      } catch (error) {
        // A renewal that was cut short may still have reached the server, and changed the revision.
        if (isKubeError(error, 'Conflict') && performance.now() < endsAtMs) continue;
        log.warn('the lease was not released', { lease: ref.name, identity, error });
        return;
      }
    }
  }

  #observe(lease: Served<Lease>): void {
    const changed = !isDeepStrictEqual(lease.spec, this.#observed?.lease.spec);
    this.#observed = { lease, atMs: changed ? performance.now() : (this.#observed?.atMs ?? 0) };
  }

  #mayTake({ spec }: Lease): boolean {
    if (!spec?.holderIdentity || spec.holderIdentity === this.#options.identity) return true;
    const durationMs =
      spec.leaseDurationSeconds === undefined ? this.#leaseDurationMs : spec.leaseDurationSeconds * 1000;
    return performance.now() - (this.#observed?.atMs ?? 0) >= durationMs;
  }

  #claim(before: Lease['spec'] = {}): NonNullable<Lease['spec']> {
    const { identity } = this.#options;
    const now = microTimestamp(new Date());
    const same = before.holderIdentity === identity;
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
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
