import { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from '../../plan/index.ts';

interface Known {
  /** Identifies the last written content, see versionOf. */
  readonly content: string;
  readonly writtenAt: Date;
  /** How often the same content was written again because another client had changed it. */
  readonly repairs?: Repairs;
  /** The value of `repairs.count` when `name` was last called. */
  readonly namedAt?: number;
}

/** Least time between writes to one target, so that a fight with another client does not load the API server. */
const writeIntervalMs = 1000;

/**
 * When each target may be written again, by key. If another client changes a published bundle, the operator repairs it three
 * times at once, and after that with growing pauses, as it does for Secrets. A write of new content is not a repair, and these
 * pauses do not delay it.
 */
export class TrustRepairs {
  readonly #known = new Map<string, Known>();

  /** When the target may be written; a time in the past if it may be written now. */
  nextWriteTime(key: string, content: string): Date {
    const known = this.#known.get(key);
    if (known === undefined) return new Date(0);
    const soonest = new Date(known.writtenAt.getTime() + writeIntervalMs);
    if (known.content !== content || known.repairs === undefined) return soonest;
    const next = nextRepairTime(known.repairs, key);
    return next > soonest ? next : soonest;
  }

  /** Records that the operator wrote a target, or lost every attempt to another client. */
  noteWrite(key: string, content: string, now: Date): void {
    const known = this.#known.get(key);
    if (known === undefined || known.content !== content) {
      this.#known.set(key, { content, writtenAt: now });
      return;
    }
    const before = known.repairs === undefined || isForgotten(known.repairs, now) ? undefined : known.repairs;
    this.#known.set(key, { ...known, writtenAt: now, repairs: afterRepair(before, now) });
  }

  /** True while a target waits for its next repair, and after a repair until it has stayed unchanged for the same time. */
  isContested(key: string, content: string, now: Date): boolean {
    const count = this.#known.get(key)?.repairs?.count ?? 0;
    return count >= freeRepairs && this.nextWriteTime(key, content) > now;
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
