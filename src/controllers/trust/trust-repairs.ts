import { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from '../../plan/index.ts';

interface Known {
  /** Identifies the last written content, see versionOf. */
  readonly content: string;
  readonly writtenAtMs: number;
  /** How often the same content was written again because another client had changed it. Its time is of the monotonic clock. */
  readonly repairs?: Repairs;
  /** The value of `repairs.count` when `name` was last called. */
  readonly namedAt?: number;
}

/** Least time between writes to one target, so that a fight with another client does not load the API server. */
const writeIntervalMs = 1000;

/**
 * When each target may be written again, by key. If another client changes a published bundle, the operator repairs it three
 * times at once, and after that with growing pauses, as it does for Secrets. A write of new content is not a repair, and these
 * pauses do not delay it. All times are of the monotonic clock: no write has to wait because the wall clock was set back.
 */
export class TrustRepairs {
  readonly #known = new Map<string, Known>();
  readonly #monotonicMs: () => number;

  /** @param monotonicMs a monotonic clock in milliseconds */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** How long the next write of a target has to wait, in whole milliseconds, as dates have them. Zero if it may be written now. */
  waitMs(key: string, content: string): number {
    const known = this.#known.get(key);
    if (known === undefined) return 0;
    const { writtenAtMs, repairs } = known;
    const soonestMs = writtenAtMs + writeIntervalMs;
    const isRepair = known.content === content && repairs !== undefined;
    const nextMs = isRepair ? Math.max(soonestMs, nextRepairTime(repairs, key).getTime()) : soonestMs;
    return Math.max(0, Math.ceil(nextMs - this.#monotonicMs()));
  }

  /** Records that the operator wrote a target, or lost every attempt to another client. */
  noteWrite(key: string, content: string): void {
    const known = this.#known.get(key);
    const writtenAtMs = this.#monotonicMs();
    if (known === undefined || known.content !== content) {
      this.#known.set(key, { content, writtenAtMs });
      return;
    }
    const at = new Date(writtenAtMs);
    const before = known.repairs === undefined || isForgotten(known.repairs, at) ? undefined : known.repairs;
    this.#known.set(key, { ...known, writtenAtMs, repairs: afterRepair(before, at) });
  }

  /** True while a target waits for its next repair, and after a repair until it has stayed unchanged for the same time. */
  isContested(key: string, content: string): boolean {
    const count = this.#known.get(key)?.repairs?.count ?? 0;
    return count >= freeRepairs && this.waitMs(key, content) > 0;
  }

  /** True until `name` was called for the last repair. */
  isUnnamed(key: string): boolean {
    const known = this.#known.get(key);
    return known?.repairs !== undefined && known.namedAt !== known.repairs.count;
  }

  /** Records which client undid the last repair. @param changedBy undefined when managedFields do not show it */
  name(key: string, changedBy: string | undefined): void {
    const known = this.#known.get(key);
    if (known?.repairs === undefined) return;
    const repairs = changedBy === undefined ? known.repairs : { ...known.repairs, changedBy };
    this.#known.set(key, { ...known, repairs, namedAt: repairs.count });
  }

  /** Why a contested bundle is not repaired at once, and what to do about it. */
  message(key: string): string {
    const by = this.#known.get(key)?.repairs?.changedBy ?? 'another client';
    return `${by} keeps changing it: stop that client; the operator repairs the bundle after pauses of up to 20 minutes`;
  }

  /** Forgets a target where nothing is published any more. */
  forget(key: string): void {
    this.#known.delete(key);
  }
}
