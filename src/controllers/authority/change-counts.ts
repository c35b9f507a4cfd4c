import type { RolloutObject } from '../../plan/index.ts';

/** An object that a rotation waits for. `bundle` is the SHA-256 of the trust bundle in it. */
type Bundled = RolloutObject & { readonly bundle?: string };

interface Seen {
  readonly changedAtMs: number;
  readonly bundle: string | undefined;
  readonly changes: number;
}

/**
 * Counts how often each object has changed since a phase of a rotation began. The operator changes an object once in a phase:
 * if it changes more often, another client changes it.
 */
export class ChangeCounts {
  readonly phase: string;
  readonly #beganMs: number;
  readonly #seen = new Map<string, Seen>();

  /** @param phase unique among the phases of all rotations */
  constructor(phase: string, monotonicMs: number) {
    this.phase = phase;
    this.#beganMs = monotonicMs;
  }

  /** The object, with `changeCount` if it has changed more than once. */
  counted<T extends Bundled>(one: T): T {
    const changes = this.#changes(one);
    return changes > 1 ? { ...one, changeCount: changes } : one;
  }

  #changes({ displayName, changedAtMs, bundle }: Bundled): number {
    const known = this.#seen.get(displayName);
    // The object is missing, which is a blocker of its own.
    if (known?.changedAtMs === changedAtMs || !Number.isFinite(changedAtMs)) return known?.changes ?? 0;
    const changes = (known?.changes ?? 0) + changesSince(known, { changedAtMs, bundle }, this.#beganMs);
    this.#seen.set(displayName, { changedAtMs, bundle, changes });
    return changes;
  }
}

function changesSince(known: Seen | undefined, now: Omit<Seen, 'changes'>, beganMs: number): number {
  if (known === undefined) return now.changedAtMs > beganMs ? 1 : 0;
  // The same bundle with a later change time: it was changed and changed back between two observations.
  return known.bundle !== undefined && known.bundle === now.bundle ? 2 : 1;
}
