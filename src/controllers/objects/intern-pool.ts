/**
 * Replaces equal values by one shared copy. Each record is parsed from JSON with its own copies of values that thousands of
 * records share: the authority, the privateKey of a spec, the labels. A full pool is emptied: values that are still in use then
 * get a second copy, which costs only memory.
 */
export class InternPool {
  readonly #most: number;
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<string, unknown>();

  /** @param most the largest number of strings, and of other values, in the pool. One more empties the strings, or the values. */
  constructor(most = 8192) {
    this.#most = most;
  }

  /** The shared copy of a string. */
  text<T extends string | undefined>(text: T): T {
    return (text === undefined ? text : this.#first(this.#texts, text, text)) as T;
  }

  /** The shared copy of a JSON value. It must not be changed. */
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

/** The pool for the records of all caches. */
export const internPool = new InternPool();
