import { setImmediate } from 'node:timers/promises';
import {
  type GuardedClient,
  type KubeClient,
  KubeError,
  type KubeObject,
  type ListOptions,
  type ListPage,
  onAbort,
  type Resource,
  type Selection,
  type Served,
  type WatchEvent,
  type WatchOptions,
} from '../../../../src/kube/index.ts';
import { answer, Crash, type MemoryApi, selectorOf } from './memory-api.ts';

/** A request, for example `mergePatch secrets payments-server-tls` or `watch secrets by label`. */
export type OnRequest = (request: string, moment: 'before' | 'after') => Promise<void>;

interface Change {
  readonly resourceVersion: number;
  readonly before: Served<KubeObject> | undefined;
  readonly after: Served<KubeObject> | undefined;
}

/** An open watch. */
interface OpenWatch {
  readonly plural: string;
  readonly events: WatchEvent<KubeObject>[];
  /** Turns a change into an event of this watch. */
  readonly eventOf: (change: Change) => WatchEvent<KubeObject> | undefined;
  /** The resourceVersion of the last change that was sent. */
  sent: number;
  /** Why the watch ends, after its events have been read. */
  end: 'ended' | KubeError | undefined;
  /** Wakes the reader, which waits for an event; undefined while the reader handles the last one. */
  wake: (() => void) | undefined;
}

/**
 * The client of one process. Requests are answered at once from the stored objects. Watches deliver changes only when the test
 * calls `deliver`, so the test decides how stale a cache is. `deliver` resolves when every reader has handled its events and waits
 * again. It needs no timer. After an error, a Reflector pauses: the test has to advance its own mocked clock.
 */
export class MemoryClient {
  readonly #api: MemoryApi;
  readonly #history = new Map<string, Change[]>();
  /** The resourceVersion up to which changes of a kind were sent to the watches. */
  readonly #delivered = new Map<string, number>();
  /** Watches that start before this resourceVersion get 410: the changes are no longer kept. */
  readonly #goneBefore = new Map<string, number>();
  readonly #watches = new Set<OpenWatch>();
  #listings = 0;
  #idleWaiters: Array<() => void> = [];
  #hasEnded = false;
  /** Kinds, by plural, that the API server does not serve. */
  readonly unserved = new Set<string>();
  /** The clock of the API server. */
  serverTime: () => Date | undefined = () => undefined;
  /** Called around every request, and before a watch starts. If it throws, the process gets the error as its answer. */
  onRequest: OnRequest = () => Promise.resolve();

  constructor(api: MemoryApi) {
    this.#api = api;
    api.subscribe((plural, before, after) => {
      const changes = this.#history.get(plural) ?? [];
      this.#history.set(plural, changes);
      changes.push({ resourceVersion: Number(api.resourceVersion), before, after });
    });
  }

  /** This object, with the type of a controller’s client. */
  get client(): GuardedClient & KubeClient {
    return this as unknown as GuardedClient & KubeClient;
  }

  /** Ends the process: later requests get no answer. */
  end(): void {
    this.#hasEnded = true;
  }

  /** Delivers all changes to the watches, of all kinds or of one. Resolves when they are handled. */
  async deliver(plural?: string): Promise<void> {
    const upTo = Number(this.#api.resourceVersion);
    const kinds = plural === undefined ? this.#history.keys() : [plural];
    for (const kind of kinds) this.#delivered.set(kind, upTo);
    for (const watch of this.#watches) this.#send(watch);
    await this.settled();
  }

  /**
   * Ends the watches of a kind, as the API server does after some minutes. They get a bookmark last, as often happens.
   * @param isForgotten the API server no longer keeps changes that were not delivered: the next watch gets 410
   */
  async cut(plural: string, isForgotten: boolean): Promise<void> {
    if (isForgotten) this.#goneBefore.set(plural, Number(this.#api.resourceVersion));
    for (const watch of this.#watches) {
      if (watch.plural !== plural) continue;
      watch.events.push({ type: 'BOOKMARK', resourceVersion: String(watch.sent) });
      watch.end = 'ended';
      wake(watch);
    }
    await this.settled();
  }

  /** Resolves when no list is in progress, and every reader of a watch waits for its next event. */
  async settled(): Promise<void> {
    const isBusy = () => this.#listings > 0 || [...this.#watches].some((watch) => watch.wake === undefined);
    // Readers that were woken run first, and those that have listed open their watches.
    for (await setImmediate(); isBusy(); await setImmediate()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idleWaiters.push(resolve);
      await promise;
    }
  }

  get = (...call: Parameters<MemoryApi['get']>) =>
    this.#request(`get ${call[0].plural} ${call[1].name}`, () => this.#api.get(...call));

  find = (...call: Parameters<MemoryApi['find']>) =>
    this.#request(`find ${call[0].plural} ${call[1].name}`, async () => this.#api.find(...call));

  create = (...call: Parameters<MemoryApi['create']>) =>
    this.#request(`create ${call[0].plural} ${call[1].metadata.name}`, () => this.#api.create(...call));

  mergePatch = (...call: Parameters<MemoryApi['mergePatch']>) =>
    this.#request(`mergePatch ${call[0].plural} ${call[1].name}`, () => this.#api.mergePatch(...call));

  replace = (...call: Parameters<MemoryApi['replace']>) =>
    this.#request(`replace ${call[0].plural} ${call[1].metadata.name}`, () => this.#api.replace(...call));

  delete = (...call: Parameters<MemoryApi['delete']>) =>
    this.#request(`delete ${call[0].plural} ${call[1].name}`, () => this.#api.delete(...call));

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ListPage<T>> {
    if (options.signal?.aborted === true) throw aborted();
    if (this.unserved.has(resource.plural)) throw new KubeError('NotFound', `no ${resource.plural}`);
    return this.#request(`list ${inWords(resource, options)}`, async () => {
      const [whole] = await Array.fromAsync(
        this.#api.listPages(resource, { ...options, limit: Number.POSITIVE_INFINITY }),
      );
      return { items: whole?.items ?? [], resourceVersion: whole?.resourceVersion ?? '', continueToken: undefined };
    });
  }

  async *listPages<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}) {
    this.#listings += 1;
    try {
      yield await this.list(resource, options);
    } finally {
      this.#listings -= 1;
      this.#becameIdle();
    }
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    if (options.signal?.aborted === true) throw aborted();
    if (this.unserved.has(resource.plural)) throw new KubeError('NotFound', `no ${resource.plural}`);
    const { plural } = resource;
    const opening = options.resourceVersion === undefined ? 'stream' : 'watch';
    // A reader that waits for its first event counts as busy until it gets it.
    this.#listings += 1;
    try {
      await this.#moment(`${opening} ${inWords(resource, options)}`, 'before');
    } finally {
      this.#listings -= 1;
      this.#becameIdle();
    }
    const { resourceVersion = this.#api.resourceVersion } = options;
    if (Number(resourceVersion) < (this.#goneBefore.get(plural) ?? 0)) throw new KubeError('Gone', 'too old');
    const events: WatchEvent<T>[] = [];
    if (options.resourceVersion === undefined) {
      for await (const { items } of this.#api.listPages(resource, options)) {
        for (const object of items) events.push({ type: 'ADDED', object, size: 1 });
      }
      events.push({ type: 'BOOKMARK', resourceVersion, isAll: true });
    }
    const watch: OpenWatch = {
      plural,
      events: events,
      eventOf: (change) => eventOf(change, selectorOf(options), options),
      sent: Number(resourceVersion),
      end: undefined,
      wake: undefined,
    };
    this.#watches.add(watch);
    const stopListening = onAbort(options.signal, () => {
      watch.end = aborted();
      wake(watch);
    });
    this.#send(watch);
    try {
      for (;;) {
        const event = watch.events.shift();
        if (event !== undefined) yield event as WatchEvent<T>;
        else if (watch.end === 'ended') return;
        else if (watch.end !== undefined) throw watch.end;
        else await this.#news(watch);
      }
    } finally {
      stopListening();
      this.#watches.delete(watch);
      this.#becameIdle();
    }
  }

  async #news(watch: OpenWatch): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    watch.wake = resolve;
    this.#becameIdle();
    await promise;
  }

  #send(watch: OpenWatch): void {
    const upTo = this.#delivered.get(watch.plural) ?? 0;
    for (const change of this.#history.get(watch.plural) ?? []) {
      if (change.resourceVersion <= watch.sent || change.resourceVersion > upTo) continue;
      const event = watch.eventOf(change);
      if (event !== undefined) watch.events.push(event);
    }
    watch.sent = Math.max(watch.sent, upTo);
    if (watch.events.length > 0) wake(watch);
  }

  #becameIdle(): void {
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  async #request<A>(request: string, act: () => Promise<A>): Promise<A> {
    await this.#moment(request, 'before');
    const answer = await act();
    await this.#moment(request, 'after');
    return answer;
  }

  async #moment(request: string, moment: 'before' | 'after'): Promise<void> {
    if (this.#hasEnded) throw new Crash();
    await this.onRequest(request, moment);
    if (this.#hasEnded) throw new Crash();
  }
}

const inWords = ({ plural }: Resource<KubeObject>, { namespace, labelSelector, fieldSelector }: Selection): string =>
  [
    plural,
    ...(namespace === undefined ? [] : [`in ${namespace}`]),
    ...(labelSelector === undefined ? [] : ['by label']),
    ...(fieldSelector === undefined ? [] : ['by field']),
  ].join(' ');

const aborted = (): KubeError => new KubeError('Aborted', 'the signal has aborted');

function wake(watch: OpenWatch): void {
  const { wake: resolve } = watch;
  watch.wake = undefined;
  resolve?.();
}

/** To a watch, an object that becomes selected is ADDED, and one that is no longer selected is DELETED. */
function eventOf(
  { resourceVersion, before, after }: Change,
  selects: (object: KubeObject) => boolean,
  selection: Selection,
): WatchEvent<KubeObject> | undefined {
  const [was, is] = [before, after].map((object) => object !== undefined && selects(object));
  const type = is === true ? (was === true ? 'MODIFIED' : 'ADDED') : 'DELETED';
  const object = is === true ? after : before;
  if (object === undefined || (was !== true && is !== true)) return undefined;
  const metadata = { ...object.metadata, resourceVersion: String(resourceVersion) };
  return { type, object: answer({ ...object, metadata }, selection), size: 1 };
}
