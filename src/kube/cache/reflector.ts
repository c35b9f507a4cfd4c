import type { KubeClient } from '../api/client.ts';
import type { Selection } from '../api/client-options.ts';
import { isKubeError, KubeError, type KubeErrorCode } from '../api/kube-error.ts';
import { partLimits } from '../api/list.ts';
import type { Log } from '../api/log.ts';
import type { KubeObject, Served } from '../api/object.ts';
import type { Resource } from '../api/resource.ts';
import type { WatchEvent } from '../api/watch-stream.ts';
import { type Backoff, backoffMs, sleep } from '../async/backoff.ts';
import { keyOf } from '../workqueue/object-key.ts';
import { DeferredEvents } from './deferred-events.ts';
import { compareResourceVersions, type ReflectedStore, type StoreRecord } from './store.ts';

export interface ReflectorOptions<T extends KubeObject, R extends StoreRecord> extends Selection {
  readonly client: Pick<KubeClient, 'list' | 'listPages' | 'watch'>;
  readonly resource: Resource<T>;
  /**
   * Returns the compact record of an object, or undefined for an object that the store does not need. If it throws, the reflector
   * logs the object's name and leaves the object out.
   */
  readonly transform: (object: Served<T>) => R | undefined;
  /** The asynchronous form of `transform` for lists. It is called for all objects of a page, so that threads can share the work. */
  readonly transformListed?: ((object: Served<T>) => Promise<R | undefined>) | undefined;
  readonly store: ReflectedStore<R>;
  readonly log: Log;
  /**
   * Whether the reflector gets the first list as a watch with initial events (KEP-3157) if the API server supports that. The API
   * server answers such a watch from its cache, but reads all pages except the first from etcd. Later lists follow errors, often
   * of watches, and always come in pages. Default false.
   */
  readonly streams?: boolean | undefined;
  /** The number of objects on a page of a list. Also how many objects are transformed at the same time. Default 500. */
  readonly pageSize?: number | undefined;
  /** About how long a watch lasts, in milliseconds. Default 290 s: many load balancers end connections after five minutes. */
  readonly watchMs?: number | undefined;
  /** How long a watch may be silent before it is probed, in milliseconds. Default 90 s: bookmarks usually arrive every minute. */
  readonly idleTimeoutMs?: number | undefined;
  /** The watch that probes whether the connection is alive. Default: a watch of 10 s, which may be silent for 20 s. */
  readonly probe?: WatchTimes | undefined;
  /** The delays before retries. Default 250 ms, doubling to 30 s. */
  readonly backoff?: Backoff | undefined;
  readonly onEvent?: ((type: WatchEvent<T>['type']) => void) | undefined;
  readonly onListed?: ((count: number) => void) | undefined;
  readonly onError?: ((code: KubeErrorCode) => void) | undefined;
}

interface WatchTimes {
  readonly watchMs: number;
  readonly idleTimeoutMs: number;
}

// The initial events of a watch arrive without pauses, so this timeout is as short as that of a request.
const streamIdleMs = 30_000;

// The answer to a write usually arrives within milliseconds of its event. If it takes longer, it may be lost.
const longestWriteMs = 1000;

// After this many errors in a row without an event, the resourceVersion of the watch may be the cause.
const suspiciousRefusals = 5;

interface Listing<R> {
  readonly records: readonly R[];
  readonly resourceVersion: string;
}

/**
 * Keeps a Store up to date with a collection in the API server. It lists the collection and then watches it. Each watch starts at
 * the resourceVersion where the last one ended; if the API server no longer has that resourceVersion, the reflector lists again.
 * It retries every error until its signal aborts.
 */
export class Reflector<T extends KubeObject, R extends StoreRecord> {
  /** Resolves with true when the first list is in the store, and with false if the run ends before that. Never rejects. */
  readonly synced: Promise<boolean>;
  readonly #options: ReflectorOptions<T, R>;
  readonly #backoff: Backoff;
  readonly #settleSynced: (synced: boolean) => void;
  #hasSynced = false;
  /** Where the next watch starts; undefined if the reflector must list first. */
  #resourceVersion: string | undefined;
  #failures = 0;
  #pagingExpired = false;
  /** Pages are smaller than `pageSize` by this factor. */
  #pageDivisor = 1;
  #streams: boolean;

  constructor(options: ReflectorOptions<T, R>) {
    this.#options = options;
    this.#backoff = options.backoff ?? { baseMs: 250, maxMs: 30_000 };
    this.#streams = options.streams ?? false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.synced = promise;
    this.#settleSynced = resolve;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves when `signal` has aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#resourceVersion ??= await this.#list(signal);
        await this.#follow(this.#resourceVersion, signal);
        continue;
      } catch (error) {
        if (signal.aborted) break;
        this.#failed(error);
      }
      await sleep(backoffMs(this.#failures - 1, this.#backoff), signal);
    }
    this.#settleSynced(false);
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { store, onListed } = this.#options;
    const { records, resourceVersion } = (await this.#readStream(signal)) ?? (await this.#readPages(signal));
    store.replaceAll(records, resourceVersion);
    onListed?.(records.length);
    this.#hasSynced = true;
    this.#settleSynced(true);
    return resourceVersion;
  }

  async #readPages(signal: AbortSignal): Promise<Listing<R>> {
    const { client, resource, pageSize = 500 } = this.#options;
    // If the continue token has expired once, list without pages, or the token would expire again. If a page has failed, use
    // smaller pages: the API server ends an answer that takes a minute.
    const limit = this.#pagingExpired ? undefined : Math.ceil(pageSize / this.#pageDivisor);
    this.#pagingExpired = false;
    const records: R[] = [];
    let resourceVersion = '';
    try {
      for await (const page of client.listPages(resource, { ...this.#selection(), limit, signal })) {
        // All pages of a list have the same resourceVersion.
        resourceVersion = page.resourceVersion ?? resourceVersion;
        // Transform page by page, so that only one page of whole objects is in memory.
        for (const record of await this.#readAll(page.items)) if (record !== undefined) records.push(record);
      }
    } catch (error) {
      this.#pagingExpired = isKubeError(error, 'Gone');
      const isCut = isKubeError(error, 'Network', 'Timeout') && records.length > 0;
      if (isCut) this.#pageDivisor = Math.min(this.#pageDivisor * 5, pageSize);
      throw error;
    }
    this.#pageDivisor = 1;
    return { records, resourceVersion };
  }

  /** Lists with a watch that begins with initial events. The reflector tries this only once; undefined if it fails. */
  async #readStream(signal: AbortSignal): Promise<Listing<R> | undefined> {
    if (!this.#streams) return undefined;
    this.#streams = false;
    const { client, resource, log, pageSize = 500 } = this.#options;
    const records = new Map<string, R>();
    const waiting: Array<Served<T>> = [];
    let waitingBytes = 0;
    const take = async (): Promise<void> => {
      waitingBytes = 0;
      const objects = waiting.splice(0);
      for (const [index, record] of (await this.#readAll(objects)).entries()) {
        const key = keyOf(objects[index]?.metadata ?? { name: '' });
        if (record === undefined) records.delete(key);
        else records.set(key, record);
      }
    };
    try {
      const options = { ...this.#selection(), resourceVersion: undefined, idleTimeoutMs: streamIdleMs, signal };
      for await (const event of client.watch(resource, options)) {
        if (event.type === 'ADDED' || event.type === 'MODIFIED') {
          waiting.push(event.object);
          waitingBytes += event.size;
        }
        const isAll = event.type === 'BOOKMARK' && event.isAll === true;
        const isFull = waiting.length >= pageSize || waitingBytes >= partLimits.bytes;
        if (isAll || event.type === 'DELETED' || isFull) await take();
        if (event.type === 'DELETED') records.delete(keyOf(event.object.metadata));
        if (isAll) return { records: [...records.values()], resourceVersion: event.resourceVersion };
      }
      throw new KubeError('Network', 'the watch ended before the end of the initial events');
    } catch (error) {
      if (signal.aborted) throw error;
      log.info('could not list with a watch; listing in pages', { resource: resource.plural, error });
      return undefined;
    }
  }

  /** Watches until the watch ends. If it falls silent, probes the connection. */
  async #follow(from: string, signal: AbortSignal): Promise<void> {
    const { watchMs = 290_000, idleTimeoutMs = 90_000 } = this.#options;
    try {
      await this.#watch(from, { watchMs, idleTimeoutMs }, signal);
    } catch (error) {
      if (signal.aborted || !isKubeError(error, 'Timeout')) throw error;
      await this.#probe(this.#resourceVersion ?? from, signal);
    }
  }

  /**
   * Finds out whether a silent watch missed events. Silence alone proves nothing: without changes there are no events, and an API
   * server whose etcd reports no progress sends no bookmarks. A short watch delivers missed events, and its regular end shows that
   * the connection is alive. An API server that was restored from a backup may not have reached the resourceVersion of the watch
   * yet. It would stay silent, so the probe checks that first.
   */
  async #probe(from: string, signal: AbortSignal): Promise<void> {
    const { client, resource, log, probe = { watchMs: 10_000, idleTimeoutMs: 20_000 } } = this.#options;
    log.debug('a watch is silent; probing the connection', { resource: resource.plural, group: resource.group });
    const one = { ...this.#selection(), metadataOnly: true, limit: 1, timeoutMs: probe.idleTimeoutMs, signal };
    const { resourceVersion } = await client.list(resource, one);
    if (compareResourceVersions(resourceVersion, from) < 0)
      throw new KubeError('Gone', 'the API server is older than the watch; it was probably restored from a backup');
    try {
      await this.#watch(from, probe, signal);
    } catch (error) {
      // A proxy or load balancer lets no events through, so only a list shows changes.
      if (isKubeError(error, 'Timeout')) this.#resourceVersion = undefined;
      throw error;
    }
  }

  async #watch(from: string, { watchMs, idleTimeoutMs }: WatchTimes, signal: AbortSignal): Promise<void> {
    const { client, resource, store } = this.#options;
    const started = performance.now();
    // The watch is up to a fifth shorter, so that watches that start together do not end together.
    const timeoutSeconds = Math.ceil((watchMs / 1000) * (1 - Math.random() / 5));
    const options = { ...this.#selection(), resourceVersion: from, timeoutSeconds, idleTimeoutMs, signal };
    let events = 0;
    const deferred = new DeferredEvents<WatchEvent<T>>(
      (event) => this.#apply(event),
      (resourceVersion) => {
        store.advance(resourceVersion);
        this.#resourceVersion = resourceVersion;
      },
    );
    try {
      for await (const event of client.watch(resource, options)) {
        events += 1;
        this.#failures = 0;
        if (event.type === 'BOOKMARK') deferred.take(event, event.resourceVersion);
        else {
          const { metadata } = event.object;
          // The answer to a write of this process contains the same object. Waiting for it saves reading the event.
          const write = event.type === 'DELETED' ? undefined : store.writeUnderWay(metadata);
          deferred.take(event, metadata.resourceVersion, keyOf(metadata), write && settledSoon(write));
        }
      }
    } finally {
      await deferred.drain();
    }
    // As in client-go: the error adds a delay, so that a server that ends each watch at once is not called in a tight loop.
    if (events === 0 && performance.now() - started < 1000) throw new KubeError('Network', 'the watch ended at once');
    this.#failures = 0;
  }

  #apply(event: WatchEvent<T>): void {
    const { transform, store, onEvent } = this.#options;
    if (event.type === 'DELETED') store.observeDeleted(event.object.metadata, event.object.metadata.resourceVersion);
    else if (event.type !== 'BOOKMARK' && store.current(event.object.metadata) === undefined) {
      // Skip objects that the store already has, such as those that this process has written.
      const record = this.#read(transform, event.object);
      if (record !== undefined) store.observe(record);
      // Remove the outdated record, as a list would.
      else store.observeDeleted(event.object.metadata, event.object.metadata.resourceVersion);
    }
    onEvent?.(event.type);
  }

  #read(transform: ReflectorOptions<T, R>['transform'], object: Served<T>): R | undefined {
    try {
      return transform(object);
    } catch (error) {
      this.#leaveOut(object, error);
      return undefined;
    }
  }

  /** The records of a page in the order of its objects; undefined for an object that is left out. */
  async #readAll(objects: ReadonlyArray<Served<T>>): Promise<(R | undefined)[]> {
    const { transform, transformListed = async (object) => transform(object), store } = this.#options;
    const read = objects.map(async (object) => {
      const known = store.current(object.metadata);
      // Do not skip an object because the store has a newer version: the cluster may have been restored from a backup.
      return known?.resourceVersion === object.metadata.resourceVersion ? known : transformListed(object);
    });
    const settled = await Promise.allSettled(read);
    return settled.map((result, index) => {
      if (result.status === 'fulfilled') return result.value;
      this.#leaveOut(objects[index], result.reason);
      return undefined;
    });
  }

  #leaveOut(object: Served<T> | undefined, error: unknown): void {
    const { kind } = this.#options.resource;
    this.#options.log.error('could not read an object; the cache leaves it out', {
      kind,
      object: object && keyOf(object.metadata),
      error,
    });
  }

  #failed(error: unknown): void {
    const { log, resource, namespace, onError } = this.#options;
    const code = isKubeError(error) ? error.code : 'Malformed';
    this.#failures += 1;
    if (this.#mustList(code)) this.#resourceVersion = undefined;
    onError?.(code);
    const where = {
      resource: resource.plural,
      group: resource.group,
      ...(namespace === undefined ? {} : { namespace }),
    };
    const fields = { ...where, code, failures: this.#failures, error };
    if (code === 'NotFound') log.warn('the API server does not serve this resource; retrying', fields);
    else if (code === 'Gone') log.info('the resourceVersion of the watch has expired; listing again', fields);
    else log.warn('a list or watch failed; retrying', fields);
  }

  /** Returns whether the reflector must list before the next watch. */
  #mustList(code: KubeErrorCode): boolean {
    switch (code) {
      case 'Gone':
      case 'Malformed':
      case 'NotFound':
        return true;
      case 'Timeout':
      case 'Network':
      case 'TooManyRequests':
      case 'Unauthorized':
      case 'Forbidden':
        return false;
      default:
        return this.#failures >= suspiciousRefusals;
    }
  }

  #selection(): Selection {
    const { namespace, labelSelector, fieldSelector, metadataOnly, skipsLarge } = this.#options;
    return { namespace, labelSelector, fieldSelector, metadataOnly, skipsLarge };
  }
}

/** Waits for the end of a write, successful or not, but at most `longestWriteMs`. */
async function settledSoon(write: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, longestWriteMs);
  const end = (): void => resolve();
  write.then(end, end);
  await promise;
  clearTimeout(timer);
}
