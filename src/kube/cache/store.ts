import { keyOf, type ObjectRef } from '../workqueue/object-key.ts';
import { StoreIndex } from './store-index.ts';

/** What a record needs for a Store: whose it is, and as of which revision. */
export interface StoreRecord {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly resourceVersion: string;
}

/** Called after a record was added (no `before`), changed, or removed (no `after`). Must not throw. */
export type StoreListener<R> = (before: R | undefined, after: R | undefined) => void;

/** What a store keeps of a record. */
interface Kept {
  readonly resourceVersion: string;
}

/** How a store keeps records of which there are very many. What is read is equal to what was kept. */
export interface StoredForm<R, K extends Kept = Kept> {
  keep(record: R): K;
  read(kept: K): R;
}

export interface StoreOptions<R, I extends string> {
  /** Default: as they are. */
  readonly form?: StoredForm<R> | undefined;
  /** Secondary indexes: which values a record is found by. */
  readonly indexes?: Readonly<Record<I, (record: R) => readonly string[]>> | undefined;
}

/**
 * The last known state of a collection, as compact records. It is fed by a Reflector, and written through by whoever
 * changes an object, so that the own change is seen before the watch brings it. It never goes back: what is older than
 * what it knows, deletions included, is ignored, in whatever order it arrives.
 */
export class Store<R extends StoreRecord, I extends string = never> {
  readonly #form: StoredForm<R>;
  readonly #records = new Map<string, Kept>();
  readonly #indexes = new Map<I, StoreIndex<R>>();
  readonly #listeners = new Set<StoreListener<R>>();
  /** Deletions that were written through ahead of the watch: key to resourceVersion. */
  readonly #tombstones = new Map<string, string>();
  readonly #writes = new Map<string, Promise<unknown>>();
  /** Everything up to this resourceVersion has been seen: what is older and not here is gone. */
  #seen = '0';

  constructor(options: StoreOptions<R, I> = {}) {
    this.#form = options.form ?? { keep: (record) => record, read: (kept) => kept as R };
    const indexes = Object.entries(options.indexes ?? {}) as [I, (record: R) => readonly string[]][];
    for (const [name, valuesOf] of indexes) this.#indexes.set(name, new StoreIndex(valuesOf));
  }

  get size(): number {
    return this.#records.size;
  }

  has(key: string): boolean {
    return this.#records.has(key);
  }

  get(key: string): R | undefined {
    const kept = this.#records.get(key);
    return kept && this.#form.read(kept);
  }

  /** What stands for a record without its being read: the same object for as long as nothing newer is known. */
  token(key: string): object | undefined {
    return this.#records.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#records.keys();
  }

  *values(): IterableIterator<R> {
    for (const kept of this.#records.values()) yield this.#form.read(kept);
  }

  /** The records that index `name` finds by `value`. */
  by(name: I, value: string): R[] {
    const found: R[] = [];
    for (const key of this.#indexes.get(name)?.keys(value) ?? []) {
      const record = this.get(key);
      if (record !== undefined) found.push(record);
    }
    return found;
  }

  /** How many they are. */
  count(name: I, value: string): number {
    return this.#indexes.get(name)?.count(value) ?? 0;
  }

  /** The record of an object, if it is known as of this revision or a newer one. */
  current(object: StoreRecord): R | undefined {
    const kept = this.#records.get(keyOf(object));
    const isKnown =
      kept !== undefined &&
      isNumeric(object.resourceVersion) &&
      compareResourceVersions(kept.resourceVersion, object.resourceVersion) >= 0;
    return isKnown ? this.#form.read(kept) : undefined;
  }

  /** Takes in a record that was read or written. Returns false when it is older than what is known, or the same. */
  observe(record: R): boolean {
    return this.#take(record, { silently: false });
  }

  /**
   * Takes in more of an object than is known of it, as of the same revision. The listeners are not told: the object is as it
   * was. Returns false when another revision is known, or none.
   */
  refine(record: R): boolean {
    if (this.#records.get(keyOf(record))?.resourceVersion !== record.resourceVersion) return false;
    this.#set(keyOf(record), record, true);
    return true;
  }

  /**
   * Takes in what this process has written itself: like `observe`, but the listeners are not told. Only for an answer that
   * holds no change of others: the watch will not bring it again.
   */
  observeOwnWrite(record: R): boolean {
    return this.#take(record, { silently: true });
  }

  /**
   * Carries out a write of this process that ends with `remember`. The watch often has the outcome first; its Reflector
   * waits for the answer then, and has nothing to read.
   */
  async trackWrite<A>(ref: ObjectRef, write: () => Promise<A>): Promise<A> {
    const key = keyOf(ref);
    const written = write();
    this.#writes.set(key, written);
    try {
      return await written;
    } finally {
      if (this.#writes.get(key) === written) this.#writes.delete(key);
    }
  }

  /** Such a write of the object, if one is under way. */
  writeUnderWay(ref: ObjectRef): Promise<unknown> | undefined {
    return this.#writes.get(keyOf(ref));
  }

  /** Takes in a deletion, with the resourceVersion that it happened at. Ignored when the object is known to be newer. */
  observeDeleted(ref: ObjectRef, resourceVersion: string): void {
    const key = keyOf(ref);
    const known = this.#records.get(key)?.resourceVersion ?? this.#goneAt(key);
    if (compareResourceVersions(resourceVersion, known) < 0) return;
    this.#tombstones.set(key, resourceVersion);
    this.#set(key, undefined);
  }

  /** Says that everything up to `resourceVersion` has been observed. For the Reflector. */
  advance(resourceVersion: string): void {
    if (compareResourceVersions(resourceVersion, this.#seen) <= 0) return;
    this.#seen = resourceVersion;
    for (const [key, deletedAt] of this.#tombstones) {
      if (compareResourceVersions(deletedAt, resourceVersion) <= 0) this.#tombstones.delete(key);
    }
  }

  /** Takes in a whole listing. Records that were written through after it was made stay. */
  replaceAll(records: readonly R[], listResourceVersion: string): void {
    // A consistent listing from before what the watch has shown: the cluster was restored from a backup. Begin anew.
    const restored = compareResourceVersions(listResourceVersion, this.#seen) < 0;
    if (restored) {
      this.#tombstones.clear();
      this.#seen = '0';
    }
    const listed = new Set(records.map(keyOf));
    for (const [key, { resourceVersion }] of this.#records) {
      const newer = compareResourceVersions(resourceVersion, listResourceVersion) > 0;
      if (!listed.has(key) && (restored || !newer)) this.#set(key, undefined);
    }
    for (const record of records) {
      if (restored) this.#set(keyOf(record), record);
      else this.observe(record);
    }
    this.advance(listResourceVersion);
  }

  /** Calls `listener` for every change from now on; the returned function ends that. */
  subscribe(listener: StoreListener<R>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(record: R, { silently }: { readonly silently: boolean }): boolean {
    const key = keyOf(record);
    const known = this.#records.get(key)?.resourceVersion ?? this.#goneAt(key);
    if (isNumeric(record.resourceVersion) && compareResourceVersions(record.resourceVersion, known) <= 0) return false;
    this.#tombstones.delete(key);
    this.#set(key, record, silently);
    return true;
  }

  #goneAt(key: string): string {
    return this.#tombstones.get(key) ?? this.#seen;
  }

  #set(key: string, after: R | undefined, silently = false): void {
    const before = this.get(key);
    if (before === undefined && after === undefined) return;
    if (after === undefined) this.#records.delete(key);
    else this.#records.set(key, this.#form.keep(after));
    for (const index of this.#indexes.values()) index.update(key, before, after);
    if (!silently) for (const listener of this.#listeners) listener(before, after);
  }
}

/**
 * Orders two resourceVersions of one kind: negative when `a` is older. They are integers of any length (KEP-5504), so
 * the longer is the newer. What is not an integer equals everything.
 */
export function compareResourceVersions(a: string, b: string): number {
  if (!isNumeric(a) || !isNumeric(b)) return 0;
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function isNumeric(resourceVersion: string): boolean {
  return /^\d+$/.test(resourceVersion);
}
