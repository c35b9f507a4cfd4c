/**
 * Gives equal values one copy. Records are read from texts, each with copies of its own of what thousands of them say: the
 * same authority, the same spec of a key, the same labels. It holds what came last, and begins anew when it is full: what
 * is forgotten is only kept twice from then on.
 */
export class InternPool {
  readonly #most: number;
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<string, unknown>();

  /** @param most how many values of a kind are held at a time */
  constructor(most = 8192) {
    this.#most = most;
  }

  /** The first text that is equal to this one. */
  text<T extends string | undefined>(text: T): T {
    return (text === undefined ? text : this.#first(this.#texts, text, text)) as T;
  }

  /** The first value that is equal to this one, which JSON can hold. Nobody may change it. */
  value<T>(value: T): T {
    return value === undefined ? value : (this.#first(this.#values, JSON.stringify(value), value) as T);
  }

  #first<V>(known: Map<string, V>, key: string, value: V): V {
    const first = known.get(key);
    if (first !== undefined) return first;
    if (known.size >= this.#most) known.clear();
    known.set(key, value);
    return value;
  }
}

/** What the records of all caches share. */
export const internPool = new InternPool();
