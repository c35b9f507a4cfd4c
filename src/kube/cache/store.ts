import { keyOf, type ObjectRef, refOf } from '../workqueue/object-key.ts';
import { StoreIndex } from './store-index.ts';

/** The fields that a Store needs of a record. */
export interface StoreRecord {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly resourceVersion: string;
}

/** Called after a record was added (no `before`), changed, or removed (no `after`). Must not throw. */
export type StoreListener<R> = (before: R | undefined, after: R | undefined) => void;

/** The compact form of a record in a store. */
interface Kept {
  readonly resourceVersion: string;
}

/** A compact form for records, which saves memory. `read(keep(record))` equals `record`. */
export interface StoredForm<R, K extends Kept = Kept> {
  keep(record: R): K;
  read(kept: K): R;
}

export interface StoreOptions<R, I extends string> {
  /** Default: records are stored unchanged. */
  readonly form?: StoredForm<R> | undefined;
  /** Secondary indexes: for each, the values of a record. */
  readonly indexes?: Readonly<Record<I, (record: R) => readonly string[]>> | undefined;
}

/** What a Reflector needs of a Store, or of a part of one. */
export type ReflectedStore<R extends StoreRecord> = Pick<
  Store<R>,
  'current' | 'observe' | 'observeDeleted' | 'replaceAll' | 'advance' | 'writeUnderWay'
>;

/** A part of a Store that a Reflector of its own fills. */
export interface StorePart<R extends StoreRecord> extends ReflectedStore<R> {
  /** Removes all records of the part, as if each object had been deleted. The next list of the part is complete again. */
  clear(): void;
}

/** How far the watch of a collection, or of a part of it, has come. */
interface Position {
  /** Everything up to this resourceVersion has been observed. An older object that is not in the store was deleted. */
  seen: string;
  /** Deletions that the watch has not passed yet: key to resourceVersion. */
  readonly tombstones: Map<string, string>;
}

const newPosition = (): Position => ({ seen: '0', tombstones: new Map() });

/**
 * The last known state of a collection, as compact records. A Reflector fills it. A controller that writes an object also stores
 * the answer here, so that it sees its own change before the watch does. The store never goes back: it ignores records and
 * deletions that are older than its own, in whatever order they arrive.
 *
 * Either one Reflector fills the whole store, or several Reflectors fill one `part` each.
 */
export class Store<R extends StoreRecord, I extends string = never> {
  readonly #form: StoredForm<R>;
  readonly #records = new Map<string, Kept>();
  readonly #indexes = new Map<I, StoreIndex<R>>();
  readonly #listeners = new Set<StoreListener<R>>();
  readonly #writes = new Map<string, Promise<unknown>>();
  readonly #whole = newPosition();
  /** By name of part. Empty if one Reflector fills the whole store. */
  readonly #parts = new Map<string, Position>();

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

  /** A token of the current version of a record: it changes when the record changes. Getting it does not read the record. */
  token(key: string): object | undefined {
    return this.#records.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#records.keys();
  }

  *values(): IterableIterator<R> {
    for (const kept of this.#records.values()) yield this.#form.read(kept);
  }

  /** The records with `value` in the index `name`. */
  by(name: I, value: string): R[] {
    const found: R[] = [];
    for (const key of this.#indexes.get(name)?.keys(value) ?? []) {
      const record = this.get(key);
      if (record !== undefined) found.push(record);
    }
    return found;
  }

  /** How many records have `value` in the index `name`. */
  count(name: I, value: string): number {
    return this.#indexes.get(name)?.count(value) ?? 0;
  }

  /** The stored record of an object, if it is at least as new as `object`. */
  current(object: StoreRecord): R | undefined {
    const kept = this.#records.get(keyOf(object));
    const isKnown =
      kept !== undefined &&
      isNumeric(object.resourceVersion) &&
      compareResourceVersions(kept.resourceVersion, object.resourceVersion) >= 0;
    return isKnown ? this.#form.read(kept) : undefined;
  }

  /** Stores a record that was read or written. Returns false and does nothing unless it is newer than the stored one. */
  observe(record: R): boolean {
    return this.#take(record, { silently: false });
  }

  /**
   * Replaces a record with a more detailed record of the same resourceVersion. The listeners are not called, because the object
   * has not changed. Returns false and does nothing if the store has another version or none.
   */
  refine(record: R): boolean {
    if (this.#records.get(keyOf(record))?.resourceVersion !== record.resourceVersion) return false;
    this.#set(keyOf(record), record, true);
    return true;
  }

  /**
   * Stores the answer to a write of this process, like `observe` but without calling the listeners. Use it only if the answer
   * contains no change of another client, because the watch does not report that change again.
   */
  observeOwnWrite(record: R): boolean {
    return this.#take(record, { silently: true });
  }

  /**
   * Sends a write of this process and stores its answer; `write` calls `observe` or `observeOwnWrite`. The watch event of the
   * write often arrives before the answer. The Reflector then waits for the answer, and need not read the event.
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

  /** The write of the object in progress, if there is one. */
  writeUnderWay(ref: ObjectRef): Promise<unknown> | undefined {
    return this.#writes.get(keyOf(ref));
  }

  /** Removes an object that was deleted at this resourceVersion. Does nothing if the store has a newer version of the object. */
  observeDeleted(ref: ObjectRef, resourceVersion: string): void {
    const key = keyOf(ref);
    const known = this.#records.get(key)?.resourceVersion ?? this.#goneAt(key);
    if (compareResourceVersions(resourceVersion, known) < 0) return;
    this.#positionOf(key).tombstones.set(key, resourceVersion);
    this.#set(key, undefined);
  }

  /** Reports that the store has observed everything up to `resourceVersion`. Only the Reflector calls it. */
  advance(resourceVersion: string): void {
    this.#advance(this.#whole, resourceVersion);
  }

  /** Replaces all records with those of a list. Records that are newer than the list stay. */
  replaceAll(records: readonly R[], listResourceVersion: string): void {
    this.#replaceAll(this.#whole, records, listResourceVersion);
  }

  /**
   * The part of the store that holds the objects of one namespace or, in a collection without namespaces, the object of one name.
   * It has a watch of its own: its lists never remove objects of other parts.
   */
  part(name: string): StorePart<R> {
    const position = this.#parts.get(name) ?? newPosition();
    this.#parts.set(name, position);
    return {
      current: (object) => this.current(object),
      observe: (record) => this.observe(record),
      observeDeleted: (ref, resourceVersion) => this.observeDeleted(ref, resourceVersion),
      writeUnderWay: (ref) => this.writeUnderWay(ref),
      advance: (resourceVersion) => this.#advance(position, resourceVersion),
      replaceAll: (records, resourceVersion) => this.#replaceAll(position, records, resourceVersion),
      clear: () => {
        for (const key of this.#records.keys()) if (this.#positionOf(key) === position) this.#set(key, undefined);
        this.#forget(position);
      },
    };
  }

  /** Without it, objects that are older than the position would look as if they were deleted. */
  #forget(position: Position): void {
    position.tombstones.clear();
    position.seen = '0';
  }

  #advance(position: Position, resourceVersion: string): void {
    if (compareResourceVersions(resourceVersion, position.seen) <= 0) return;
    position.seen = resourceVersion;
    const { tombstones } = position;
    for (const [key, deletedAt] of tombstones) {
      if (compareResourceVersions(deletedAt, resourceVersion) <= 0) tombstones.delete(key);
    }
  }

  #replaceAll(position: Position, records: readonly R[], listResourceVersion: string): void {
    // A consistent list is older than the watch if the cluster was restored from a backup. Then the list replaces everything.
    const restored = compareResourceVersions(listResourceVersion, position.seen) < 0;
    if (restored) this.#forget(position);
    const listed = new Set(records.map(keyOf));
    for (const [key, { resourceVersion }] of this.#records) {
      if (this.#positionOf(key) !== position) continue;
      const newer = compareResourceVersions(resourceVersion, listResourceVersion) > 0;
      if (!listed.has(key) && (restored || !newer)) this.#set(key, undefined);
    }
    for (const record of records) {
      if (restored) this.#set(keyOf(record), record);
      else this.observe(record);
    }
    this.#advance(position, listResourceVersion);
  }

  /** Calls `listener` for every further change. The returned function unsubscribes it. */
  subscribe(listener: StoreListener<R>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(record: R, { silently }: { readonly silently: boolean }): boolean {
    const key = keyOf(record);
    const known = this.#records.get(key)?.resourceVersion ?? this.#goneAt(key);
    if (isNumeric(record.resourceVersion) && compareResourceVersions(record.resourceVersion, known) <= 0) return false;
    this.#positionOf(key).tombstones.delete(key);
    this.#set(key, record, silently);
    return true;
  }

  #goneAt(key: string): string {
    const { tombstones, seen } = this.#positionOf(key);
    return tombstones.get(key) ?? seen;
  }

  #positionOf(key: string): Position {
    if (this.#parts.size === 0) return this.#whole;
    const { namespace, name } = refOf(key);
    return this.#parts.get(namespace ?? name) ?? this.#whole;
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
 * Compares two resourceVersions of one kind. The result is negative if `a` is older. resourceVersions are integers of any length
 * (KEP-5504), so a longer one is newer. A value that is not an integer equals every value.
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
