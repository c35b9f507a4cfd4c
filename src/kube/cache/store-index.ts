/**
 * A secondary index of a store: from values to the keys of records. Most values have one record, whose key is stored without a
 * Set, because a Set with one entry needs more memory than many records.
 */
export class StoreIndex<R> {
  readonly #valuesOf: (record: R) => readonly string[];
  readonly #keys = new Map<string, string | Set<string>>();

  /** @param valuesOf the values of a record; a pure function */
  constructor(valuesOf: (record: R) => readonly string[]) {
    this.#valuesOf = valuesOf;
  }

  /** The keys of the records with this value. */
  keys(value: string): Iterable<string> {
    const keys = this.#keys.get(value) ?? [];
    return typeof keys === 'string' ? [keys] : keys;
  }

  /** How many records have this value. */
  count(value: string): number {
    const keys = this.#keys.get(value);
    if (keys === undefined) return 0;
    return typeof keys === 'string' ? 1 : keys.size;
  }

  /** Updates the index after a record was added (no `before`), changed, or removed (no `after`). */
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
