/**
 * The keys of a store's records by the values that they are found by. Most values have one record: its key then stands for
 * itself, since a set of one would cost more memory than many a record.
 */
export class StoreIndex<R> {
  readonly #valuesOf: (record: R) => readonly string[];
  readonly #keys = new Map<string, string | Set<string>>();

  /** @param valuesOf which values a record is found by; depends on nothing but the record */
  constructor(valuesOf: (record: R) => readonly string[]) {
    this.#valuesOf = valuesOf;
  }

  /** The keys of the records that are found by `value`. */
  keys(value: string): Iterable<string> {
    const keys = this.#keys.get(value) ?? [];
    return typeof keys === 'string' ? [keys] : keys;
  }

  /** How many records are found by `value`. */
  count(value: string): number {
    const keys = this.#keys.get(value);
    if (keys === undefined) return 0;
    return typeof keys === 'string' ? 1 : keys.size;
  }

  /** Takes in that the record of `key` was added (no `before`), changed, or removed (no `after`). */
  update(key: string, before: R | undefined, after: R | undefined): void {
    const old = before === undefined ? none : this.#valuesOf(before);
    const next = after === undefined ? none : this.#valuesOf(after);
    if (areEqual(old, next)) return;
    for (const value of old) this.#remove(value, key);
    for (const value of next) this.#add(value, key);
  }

  #add(value: string, key: string): void {
    const keys = this.#keys.get(value);
    if (keys === undefined || keys === key) this.#keys.set(value, key);
    else if (typeof keys === 'string') this.#keys.set(value, new Set([keys, key]));
    else keys.add(key);
  }

  #remove(value: string, key: string): void {
    const keys = this.#keys.get(value);
    if (keys === key) this.#keys.delete(value);
    if (keys === undefined || typeof keys === 'string') return;
    keys.delete(key);
    if (keys.size > 1) return;
    for (const last of keys) this.#keys.set(value, last);
  }
}

const none: readonly string[] = [];

const areEqual = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);
