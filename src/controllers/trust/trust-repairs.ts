import { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from '../../plan/index.ts';

interface Known {
  /** What was written last: a digest of the bundle and its name. */
  readonly content: string;
  readonly writtenAt: Date;
  /** How often that was written again, because another client had changed it. */
  readonly repairs?: Repairs;
  /** At which count the other client was asked for. */
  readonly namedAt?: number;
}

/** Writes to one place are so far apart: a client that fights with the operator does not wear out the API server. */
const writeIntervalMs = 1000;

/**
 * When each place may be written again, by key. The operator undoes what another client does to a published bundle three
 * times at once, and then after growing pauses, as it does for Secrets. Other content is no repair and never waits.
 */
export class TrustRepairs {
  readonly #known = new Map<string, Known>();

  /** When the place may be written; a moment that has passed for one that may be now. */
  nextWriteTime(key: string, content: string): Date {
    const known = this.#known.get(key);
    if (known === undefined) return new Date(0);
    const soonest = new Date(known.writtenAt.getTime() + writeIntervalMs);
    if (known.content !== content || known.repairs === undefined) return soonest;
    const next = nextRepairTime(known.repairs, key);
    return next > soonest ? next : soonest;
  }

  /** Notes that the operator has written a place, or has lost every try to another client. */
  noteWrite(key: string, content: string, now: Date): void {
    const known = this.#known.get(key);
    if (known === undefined || known.content !== content) {
      this.#known.set(key, { content, writtenAt: now });
      return;
    }
    const before = known.repairs === undefined || isForgotten(known.repairs, now) ? undefined : known.repairs;
    this.#known.set(key, { ...known, writtenAt: now, repairs: afterRepair(before, now) });
  }

  /** True while a place waits for its next repair, or was repaired so lately that it may not stay as it is. */
  isContested(key: string, content: string, now: Date): boolean {
    const count = this.#known.get(key)?.repairs?.count ?? 0;
    return count >= freeRepairs && this.nextWriteTime(key, content) > now;
  }

  /** True when nobody has asked yet which client has undone the last repair. */
  isUnnamed(key: string): boolean {
    const known = this.#known.get(key);
    return known?.repairs !== undefined && known.namedAt !== known.repairs.count;
  }

  /** Notes which client that was; undefined when its managedFields do not say. */
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

  /** Forgets a place where nothing is published any more. */
  forget(key: string): void {
    this.#known.delete(key);
  }
}
