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
  /** By list, and by the name of the object. */
  readonly #seen = new Map<string, ReadonlyMap<string, Seen>>();

  /** @param phase unique among the phases of all rotations */
  constructor(phase: string, monotonicMs: number) {
    this.phase = phase;
    this.#beganMs = monotonicMs;
  }

  /**
   * The objects of a list, with `changeCount` if they have changed more than once. Forgets the objects that are not on the list any
   * more: users can create and delete objects for ever.
   */
  counted<T extends Bundled>(list: string, objects: readonly T[]): readonly T[] {
    const before = this.#seen.get(list);
    const seen = new Map<string, Seen>();
    const counted = objects.map((one) => {
      const { displayName } = one;
      const now = this.#seenAs(one, seen.get(displayName) ?? before?.get(displayName));
      if (now !== undefined) seen.set(displayName, now);
      return now !== undefined && now.changes > 1 ? { ...one, changeCount: now.changes } : one;
    });
    this.#seen.set(list, seen);
    return counted;
  }

  #seenAs({ changedAtMs, bundle }: Bundled, known: Seen | undefined): Seen | undefined {
    // The object is missing, which is a blocker of its own.
    if (known?.changedAtMs === changedAtMs || !Number.isFinite(changedAtMs)) return known;
    const changes = (known?.changes ?? 0) + changesSince(known, { changedAtMs, bundle }, this.#beganMs);
    return { changedAtMs, bundle, changes };
  }
}

function changesSince(known: Seen | undefined, now: Omit<Seen, 'changes'>, beganMs: number): number {
  if (known === undefined) return now.changedAtMs > beganMs ? 1 : 0;
  // The same bundle with a later change time: it was changed and changed back between two observations.
  return known.bundle !== undefined && known.bundle === now.bundle ? 2 : 1;
}
