/** A pool never keeps more than this, whatever users write into their objects. */
const mostEntries = 8192;
const mostCharacters = 1024 * 1024;

/** Users repeat short values thousands of times. Longer ones would push them out of the pool. */
const longestShared = 2048;

interface Shelf<V> {
  readonly values: Map<string, V>;
  /** The length of all keys. */
  characters: number;
}

/**
 * Replaces equal values by one shared copy. Each record is parsed from JSON with its own copies of values that thousands of
 * records share: the authority, the privateKey of a spec, the labels. A full pool is emptied: values that are still in use then
 * get a second copy, which costs only memory. A long value is not shared.
 */
export class InternPool {
  readonly #most: number;
  readonly #texts: Shelf<string> = { values: new Map(), characters: 0 };
  readonly #values: Shelf<unknown> = { values: new Map(), characters: 0 };

  /** @param most the largest number of strings, and of other values, in the pool. One more empties the strings, or the values. */
  constructor(most = mostEntries) {
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

  #first<V>(shelf: Shelf<V>, key: string, value: V): V {
    if (key.length > longestShared) return value;
    const first = shelf.values.get(key);
    if (first !== undefined) return first;
    if (shelf.values.size >= this.#most || shelf.characters + key.length > mostCharacters) {
      shelf.values.clear();
      shelf.characters = 0;
    }
    shelf.values.set(key, value);
    shelf.characters += key.length;
    return value;
  }
}

/** The pool for the records of all caches. */
export const internPool = new InternPool();
