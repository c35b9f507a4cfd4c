import type { RolloutObject } from '../../plan/index.ts';

/** An object of a rotation, with the SHA-256 of its bundle where there is one. */
type Bundled = RolloutObject & { readonly bundle?: string };

interface Seen {
  readonly changedAtMs: number;
  readonly bundle: string | undefined;
  readonly changes: number;
}

/**
 * How often each object has changed since a phase of a rotation began. The operator changes an object once in a phase;
 * what changes more often is changed by another client.
 */
export class ChangeCounts {
  readonly phase: string;
  readonly #beganMs: number;
  readonly #seen = new Map<string, Seen>();

  /** @param phase names the phase, and no other one of the same or another rotation */
  constructor(phase: string, monotonicMs: number) {
    this.phase = phase;
    this.#beganMs = monotonicMs;
  }

  /** The object, with the number of its changes where it has changed more than once. */
  counted<T extends Bundled>(one: T): T {
    const changes = this.#changes(one);
    return changes > 1 ? { ...one, changeCount: changes } : one;
  }

  #changes({ displayName, changedAtMs, bundle }: Bundled): number {
    const known = this.#seen.get(displayName);
    // What is not there is missing, and named as that.
    if (known?.changedAtMs === changedAtMs || !Number.isFinite(changedAtMs)) return known?.changes ?? 0;
    const changes = (known?.changes ?? 0) + changesSince(known, { changedAtMs, bundle }, this.#beganMs);
    this.#seen.set(displayName, { changedAtMs, bundle, changes });
    return changes;
  }
}

function changesSince(known: Seen | undefined, now: Omit<Seen, 'changes'>, beganMs: number): number {
  if (known === undefined) return now.changedAtMs > beganMs ? 1 : 0;
  // The same bundle at a later moment was changed, and changed back, between two looks.
  return known.bundle !== undefined && known.bundle === now.bundle ? 2 : 1;
}
