import type { Counted } from '../plan/index.ts';

/**
 * How often each object has changed since a phase of a rotation began. The operator changes an object once in a phase;
 * what changes again and again is changed by another client.
 */
export class ChangeCounts {
  readonly phase: string;
  readonly #beganMs: number;
  readonly #counts = new Map<string, { readonly changedAtMs: number; readonly changes: number }>();

  /** @param phase names the phase, and no other one of the same or another rotation */
  constructor(phase: string, monotonicMs: number) {
    this.phase = phase;
    this.#beganMs = monotonicMs;
  }

  /** The object, with the number of its changes where it has changed more than once. */
  counted<T extends Counted>(one: T): T {
    const changes = this.#changes(one);
    return changes > 1 ? { ...one, changes } : one;
  }

  #changes({ what, changedAtMs }: Counted): number {
    const known = this.#counts.get(what);
    if (known?.changedAtMs === changedAtMs) return known.changes;
    const hasChanged = known !== undefined || changedAtMs > this.#beganMs;
    // What is not there is missing, and named as that.
    if (!hasChanged || !Number.isFinite(changedAtMs)) return known?.changes ?? 0;
    const changes = (known?.changes ?? 0) + 1;
    this.#counts.set(what, { changedAtMs, changes });
    return changes;
  }
}
