import assert from 'node:assert/strict';
import {
  type KubeClient,
  KubeError,
  type KubeErrorCode,
  onAbort,
  Reflector,
  type ReflectorOptions,
  type Served,
  Store,
  type StoreRecord,
  silentLog,
  type WatchEvent,
} from '../../../../src/kube/index.ts';
import { type Widget, widgets } from '../api/widgets.ts';

/** A size that the transform of the cache throws for. */
export const unreadable = 666;

interface Sized extends StoreRecord {
  readonly size: number;
}

/** A change of the collection. */
interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Served<Widget>;
}

/** The outcome of the next step of a list, a watch or a write. */
export type Outcome = 'continues' | 'breaks' | 'is refused' | 'ends' | 'expires' | 'is silent';

const codes: Readonly<Record<Exclude<Outcome, 'continues' | 'ends'>, KubeErrorCode>> = {
  breaks: 'Network',
  'is refused': 'ServerError',
  expires: 'Gone',
  'is silent': 'Timeout',
};

/** A step that waits for the network. */
interface Gate {
  readonly pass: (outcome: Outcome) => void;
}

/** The objects are spread over two namespaces, so that a cache can be filled by one Reflector or by one for each namespace. */
export const namespaces = ['n', 'm'] as const;
const namespaceOf = (name: string): string => (name < 'c' ? 'n' : 'm');
const refOf = (name: string) => ({ namespace: namespaceOf(name), name });
const keyOf = (name: string): string => `${namespaceOf(name)}/${name}`;

interface Backup {
  readonly revision: number;
  readonly objects: ReadonlyMap<string, Served<Widget>>;
}

/** A collection of an API server: its objects, and the changes since the last compaction. */
class Collection {
  revision = 10;
  readonly objects = new Map<string, Served<Widget>>();
  changes: Change[] = [];
  /** Changes up to this revision are compacted. */
  compactedTo = 0;
  readonly #backups: Backup[] = [];
  /** Every version of every object, by name and revision. */
  readonly versions = new Map<string, Served<Widget>>();

  put(name: string, size: number): Served<Widget> {
    const type = this.objects.has(name) ? 'MODIFIED' : 'ADDED';
    const object = this.#next(name, size);
    this.objects.set(name, object);
    this.changes.push({ type, object });
    return object;
  }

  delete(name: string): void {
    const last = this.objects.get(name);
    if (last === undefined) return;
    this.objects.delete(name);
    this.changes.push({ type: 'DELETED', object: this.#next(name, last.spec?.size ?? 0) });
  }

  after(revision: number): Change[] {
    return this.changes.filter(({ object }) => Number(object.metadata.resourceVersion) > revision);
  }

  compact(): void {
    this.compactedTo = this.revision;
    this.changes = [];
  }

  /** The latest backup from before `revision`. */
  backupBefore(revision: number): Backup | undefined {
    return this.#backups.findLast((backup) => backup.revision < revision);
  }

  /** Restores a backup. Revisions that were used since then are used again. */
  restore({ revision, objects }: Backup): void {
    this.revision = revision;
    this.objects.clear();
    for (const [name, object] of objects) this.objects.set(name, object);
    this.changes = this.changes.filter(({ object }) => Number(object.metadata.resourceVersion) <= revision);
    this.compactedTo = Math.min(this.compactedTo, revision);
    this.#backups.splice(0);
  }

  #next(name: string, size: number): Served<Widget> {
    this.#backups.push({ revision: this.revision, objects: new Map(this.objects) });
    // Other kinds use the same counter, so there are gaps.
    this.revision += 1 + (this.revision % 3);
    const metadata = { ...refOf(name), uid: name, resourceVersion: String(this.revision) };
    const object = { metadata, spec: { size } } as Served<Widget>;
    this.versions.set(`${name}@${this.revision}`, object);
    return object;
  }
}

/** A store, or a part of one, that remembers the revision up to which its Reflector has observed everything. */
class SeenStore {
  seen = 0;
  readonly target: ReflectorOptions<Widget, Sized>['store'];

  constructor(store: ReflectorOptions<Widget, Sized>['store']) {
    this.target = {
      current: (object) => store.current(object),
      observe: (record) => store.observe(record),
      observeDeleted: (ref, resourceVersion) => store.observeDeleted(ref, resourceVersion),
      writeUnderWay: (ref) => store.writeUnderWay(ref),
      advance: (resourceVersion) => {
        this.seen = Number(resourceVersion);
        store.advance(resourceVersion);
      },
      replaceAll: (records, resourceVersion) => {
        this.seen = Number(resourceVersion);
        store.replaceAll(records, resourceVersion);
      },
    };
  }
}

/**
 * A collection, a network whose steps the test decides, and one Reflector or several that keep a Store up to date with the
 * collection. The process of the Reflectors also writes some of the objects itself.
 */
export class ReflectorWorld {
  readonly server = new Collection();
  readonly store = new Store<Sized, 'size'>({ indexes: { size: ({ size }) => [String(size)] } });
  readonly gates = new Set<Gate>();
  readonly counts = { lists: 0, watches: 0, streams: 0, events: 0, remembered: 0, restores: 0 };
  /** The records as a subscriber knows them that has seen every change. */
  readonly #subscribed = new Map<string, Sized>();
  /** The last watch event of each object. */
  readonly #lastEvents = new Map<string, Change>();
  readonly #stop = new AbortController();
  readonly #run: Promise<unknown>;
  #problem: string | undefined;
  readonly #parts: readonly SeenStore[];
  /** The cluster was restored, and these parts of the cache have not been listed since. */
  readonly #unlisted = new Set<SeenStore>();

  /** @param isSplit whether each namespace has a Reflector of its own */
  constructor(options: Pick<ReflectorOptions<Widget, Sized>, 'streams' | 'pageSize'>, isSplit: boolean) {
    this.store.subscribe((before, after) => this.#onChange(before, after));
    const places = isSplit ? namespaces : [undefined];
    const reflectors = places.map((namespace) => {
      const part = new SeenStore(namespace === undefined ? this.store : this.store.part(namespace));
      const reflector = new Reflector<Widget, Sized>({
        client: this.#client(),
        resource: widgets,
        namespace,
        store: part.target,
        transform: sized,
        log: silentLog,
        backoff: { baseMs: 100, maxMs: 1000 },
        onListed: () => {
          this.#unlisted.delete(part);
          for (const name of this.#lastEvents.keys())
            if (namespace === undefined || namespaceOf(name) === namespace) this.#lastEvents.delete(name);
        },
        ...options,
      });
      return { part, reflector };
    });
    this.#parts = reflectors.map(({ part }) => part);
    this.#run = Promise.all(reflectors.map(({ reflector }) => reflector.run(this.#stop.signal)));
  }

  get #awaitsListing(): boolean {
    return this.#unlisted.size > 0;
  }

  /** Lets a waiting request, answer or event continue with this outcome. */
  step(nth: number, outcome: Outcome): void {
    const gate = [...this.gates][nth % this.gates.size];
    if (gate === undefined) return;
    this.gates.delete(gate);
    gate.pass(outcome);
  }

  /** Writes an object of the cache, and stores the answer without calling the subscriber. */
  write(name: string, size: number): void {
    const known = this.store.get(keyOf(name));
    if (known === undefined || this.store.writeUnderWay(refOf(name)) !== undefined) return;
    const written = this.store.trackWrite(refOf(name), async () => {
      await this.#network();
      const isCurrent = this.server.objects.get(name)?.metadata.resourceVersion === known.resourceVersion;
      if (!isCurrent || this.#awaitsListing) throw new KubeError('Conflict', 'it has changed');
      const { restores } = this.counts;
      const object = this.server.put(name, size);
      await this.#network();
      if (this.counts.restores !== restores) throw new KubeError('Network', 'the API server has gone down');
      const record = sized(object);
      // The store does not call the subscriber, so the test updates it here.
      if (this.store.observeOwnWrite(record)) {
        this.counts.remembered += 1;
        this.#subscribed.set(keyOf(name), record);
      }
    });
    written.catch(() => {});
  }

  /** Reads an object, and stores the answer, maybe much later. */
  read(name: string): void {
    const reading = async (): Promise<void> => {
      await this.#network();
      const object = this.server.objects.get(name);
      const { restores } = this.counts;
      await this.#network();
      if (object === undefined || this.counts.restores !== restores) return;
      this.store.observe(sized(object));
    };
    reading().catch(() => {});
  }

  put(name: string, size: number): void {
    if (!this.#awaitsListing) this.server.put(name, size);
  }

  delete(name: string): void {
    if (!this.#awaitsListing) this.server.delete(name);
  }

  /**
   * Restores the cluster from a backup that is older than the cache. Nothing changes until the Reflector has listed: the cache
   * cannot distinguish a new object from an old one with the same revision.
   */
  restore(): void {
    const backup = this.server.backupBefore(Math.min(...this.#parts.map(({ seen }) => seen)));
    if (backup === undefined || this.#awaitsListing) return;
    this.counts.restores += 1;
    this.server.restore(backup);
    for (const part of this.#parts) this.#unlisted.add(part);
    this.#lastEvents.clear();
  }

  /** Checks the invariants. */
  check(): void {
    assert.equal(this.#problem, undefined);
    for (const record of this.store.values()) {
      const version = this.server.versions.get(`${record.name}@${record.resourceVersion}`);
      assert.deepEqual(version && sized(version), record, 'the cache has a version that never existed');
    }
    for (const [name, { type, object }] of this.#lastEvents) {
      // An event may wait for the answer to a write of this process.
      if (this.store.writeUnderWay(refOf(name)) !== undefined) continue;
      const known = Number(this.store.get(keyOf(name))?.resourceVersion ?? 0);
      const revision = Number(object.metadata.resourceVersion);
      const isGone = type === 'DELETED' || object.spec?.size === unreadable;
      assert.ok(isGone ? known === 0 || known > revision : known >= revision, `the cache missed ${type} of ${name}`);
    }
  }

  /** Checks that the cache equals the collection, after everything has arrived. */
  checkEnd(): void {
    this.check();
    const expected = [...this.server.objects.values()].filter(({ spec }) => spec?.size !== unreadable).map(sized);
    const byName = (a: Sized, b: Sized): number => (a.name < b.name ? -1 : 1);
    assert.deepEqual(
      [...this.store.values()].sort(byName),
      expected.sort(byName),
      'the cache differs from the collection',
    );
    assert.deepEqual([...this.#subscribed.values()].sort(byName), expected, 'a subscriber has missed a change');
    for (const { size } of expected) {
      const ofSize = expected.filter((record) => record.size === size);
      assert.deepEqual(
        this.store.by('size', String(size)).sort(byName),
        ofSize,
        'the index differs from the collection',
      );
    }
  }

  async end(): Promise<void> {
    this.#stop.abort();
    for (const gate of this.gates) gate.pass('breaks');
    await this.#run;
  }

  #onChange(before: Sized | undefined, after: Sized | undefined): void {
    const key = keyOf((after ?? before)?.name ?? '');
    const known = this.#subscribed.get(key);
    if (known?.resourceVersion !== before?.resourceVersion)
      this.#problem ??= `${key} was changed from ${before?.resourceVersion}, but the subscriber had ${known?.resourceVersion}`;
    const wentBack = Number(after?.resourceVersion ?? Infinity) <= Number(before?.resourceVersion ?? 0);
    if (wentBack && !this.#awaitsListing && before !== undefined && after !== undefined)
      this.#problem ??= `${key} went back from ${before.resourceVersion} to ${after.resourceVersion}`;
    const found = after === undefined ? [] : this.store.by('size', String(after.size));
    if (this.store.get(key) !== after || found.includes(after as Sized) !== (after !== undefined))
      this.#problem ??= `a subscriber was called for ${key} before the cache had the change`;
    if (after === undefined) this.#subscribed.delete(key);
    else this.#subscribed.set(key, after);
  }

  /** Waits until the test decides about the next step of the network. */
  async #network(signal?: AbortSignal): Promise<'continues' | 'ends'> {
    const { promise, resolve } = Promise.withResolvers<Outcome | 'aborted'>();
    const gate = { pass: resolve };
    this.gates.add(gate);
    const stopListening = onAbort(signal, () => resolve('aborted'));
    const outcome = await promise;
    stopListening();
    this.gates.delete(gate);
    if (outcome === 'aborted') throw new KubeError('Aborted', 'the call was aborted');
    if (outcome === 'continues' || outcome === 'ends') return outcome;
    throw new KubeError(codes[outcome], outcome);
  }

  #client(): KubeClient {
    return {
      list: (_: unknown, options: Options) => this.#list(options),
      listPages: (_: unknown, options: Options) => this.#listPages(options),
      watch: (_: unknown, options: Options) =>
        options.resourceVersion === undefined ? this.#stream(options) : this.#watch(options),
    } as unknown as KubeClient;
  }

  async #list({ signal }: Options) {
    await this.#network(signal);
    const resourceVersion = String(this.server.revision);
    await this.#network(signal);
    return { items: [], resourceVersion, continueToken: undefined };
  }

  /** All pages of a list have the same revision, however long they take. The API server sends a page in parts. */
  async *#listPages({ signal, namespace, limit = Number.POSITIVE_INFINITY }: Options) {
    this.counts.lists += 1;
    await this.#network(signal);
    const { revision } = this.server;
    const { restores } = this.counts;
    const left = [...this.server.objects.values()].filter(isIn(namespace));
    do {
      const page = left.splice(0, limit);
      for (const object of page.slice(0, -1)) {
        yield { items: [object] };
        await this.#network(signal);
      }
      yield { items: page.slice(-1), resourceVersion: String(revision), isLast: true };
      await this.#network(signal);
      if (this.counts.restores !== restores) throw new KubeError('Network', 'the API server has gone down');
      if (left.length > 0 && this.server.compactedTo > revision) throw new KubeError('Gone', 'the token has expired');
    } while (left.length > 0);
  }

  /** A watch with initial events. */
  async *#stream({ signal, namespace }: Options): AsyncGenerator<WatchEvent<Widget>, void, undefined> {
    this.counts.streams += 1;
    await this.#network(signal);
    let { revision } = this.server;
    const expected = [...this.server.objects.values()].filter(isIn(namespace));
    for (const object of expected) {
      yield { type: 'ADDED', object, size: 100 };
      if (object.spec?.size === 0 && (await this.#network(signal)) === 'ends') return;
    }
    for (let pauses = 0; pauses < 2; pauses += 1) {
      if ((await this.#network(signal)) === 'ends') return;
      if (revision < this.server.compactedTo) throw new KubeError('Gone', 'too old');
      if (revision > this.server.revision) throw new KubeError('Network', 'the API server has gone down');
      const changes = this.server.after(revision).filter(({ object }) => isIn(namespace)(object));
      revision = this.server.revision;
      for (const { type, object } of changes) yield { type, object, size: 100 };
      yield { type: 'BOOKMARK', resourceVersion: String(revision) };
    }
    yield { type: 'BOOKMARK', resourceVersion: String(revision), isAll: true };
  }

  async *#watch({ signal, namespace, resourceVersion }: Options): AsyncGenerator<WatchEvent<Widget>, void, undefined> {
    this.counts.watches += 1;
    for (let revision = Number(resourceVersion); ; ) {
      if ((await this.#network(signal)) === 'ends') return;
      if (revision < this.server.compactedTo) throw new KubeError('Gone', 'too old');
      if (revision > this.server.revision) throw new KubeError('Timeout', 'too large resource version');
      const changes = this.server.after(revision).filter(({ object }) => isIn(namespace)(object));
      // Send some of the changes at a time.
      const some = changes.slice(0, 1 + (revision % 4));
      for (const { type, object } of some) {
        this.counts.events += 1;
        revision = Number(object.metadata.resourceVersion);
        this.#lastEvents.set(object.metadata.name, { type, object });
        yield { type, object, size: 100 };
      }
      if (some.length === changes.length && this.server.revision % 2 === 0) {
        revision = this.server.revision;
        yield { type: 'BOOKMARK', resourceVersion: String(revision) };
      }
    }
  }
}

interface Options {
  readonly signal?: AbortSignal;
  readonly namespace?: string | undefined;
  readonly limit?: number;
  readonly resourceVersion?: string;
}

const isIn =
  (namespace: string | undefined) =>
  ({ metadata }: Served<Widget>): boolean =>
    namespace === undefined || metadata.namespace === namespace;

function sized({ metadata, spec }: Served<Widget>): Sized {
  if (spec?.size === unreadable) throw new Error('cannot be read');
  const { namespace, name, resourceVersion } = metadata;
  return { namespace, name, resourceVersion, size: spec?.size ?? 0 };
}
