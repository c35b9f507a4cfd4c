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
import { compareResourceVersions, type Store, type StoreRecord } from './store.ts';

export interface ReflectorOptions<T extends KubeObject, R extends StoreRecord> extends Selection {
  readonly client: Pick<KubeClient, 'list' | 'listPages' | 'watch'>;
  readonly resource: Resource<T>;
  /** The compact record to keep of an object. An object it throws for is logged by name and left out. */
  readonly transform: (object: Served<T>) => R;
  /** The same for all objects of a page at once, where some of the work can go on beside the event loop. */
  readonly transformListed?: ((object: Served<T>) => Promise<R>) | undefined;
  readonly store: Pick<Store<R>, 'current' | 'observe' | 'observeDeleted' | 'replaceAll' | 'advance' | 'writeUnderWay'>;
  readonly log: Log;
  /**
   * Whether the first listing comes as a watch that begins with all there is (KEP-3157), if the API server can do that: it
   * takes those from its cache, and pages but the first from etcd. Later listings follow trouble, often with watches, and
   * always come in pages. Default: false, pages for all.
   */
  readonly streams?: boolean | undefined;
  /** Objects on one page of a listing, or that are read at once. Default 500. */
  readonly pageSize?: number | undefined;
  /** About how long one watch lasts, in milliseconds. Default 290 s: below the five minutes of many load balancers. */
  readonly watchMs?: number | undefined;
  /** A watch that brings nothing for so long may be dead. Default 90 s: bookmarks come about every minute, if they do. */
  readonly idleTimeoutMs?: number | undefined;
  /** The watch that finds out whether it is. Default: one of 10 s, which has to have ended after 20 s in which nothing came. */
  readonly probe?: WatchTimes | undefined;
  /** Between repeats after an error. Default 250 ms doubling to 30 s. */
  readonly backoff?: Backoff | undefined;
  readonly onEvent?: ((type: WatchEvent<T>['type']) => void) | undefined;
  readonly onListed?: ((count: number) => void) | undefined;
  readonly onError?: ((code: KubeErrorCode) => void) | undefined;
}

interface WatchTimes {
  readonly watchMs: number;
  readonly idleTimeoutMs: number;
}

// What is there comes at once: as long as for any other answer.
const streamIdleMs = 30_000;

// Answers to writes come within milliseconds of the event, or the API server is in trouble.
const longestWriteMs = 1000;

// After so many refusals in a row, without one event, the place to resume from is suspected too.
const suspiciousRefusals = 5;

interface Listing<R> {
  readonly records: readonly R[];
  readonly resourceVersion: string;
}

/**
 * Keeps a Store like the collection in the API server: a paged listing, then watches, each from where the last one ended,
 * and a listing again when that place is lost. It gives up for nothing but its signal.
 */
export class Reflector<T extends KubeObject, R extends StoreRecord> {
  /** True when the first listing is in the store; false when the run ended before. Never rejects. */
  readonly synced: Promise<boolean>;
  readonly #options: ReflectorOptions<T, R>;
  readonly #backoff: Backoff;
  readonly #settleSynced: (synced: boolean) => void;
  #hasSynced = false;
  /** Where the next watch begins; undefined when there must be a listing first. */
  #resourceVersion: string | undefined;
  #failures = 0;
  #pagingExpired = false;
  /** How much smaller pages are than usual. */
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
    // A listing that outlived its continue token once comes as one page: in several it would end the same way. One that broke
    // comes in smaller pages: the API server ends an answer that takes a minute.
    const limit = this.#pagingExpired ? undefined : Math.ceil(pageSize / this.#pageDivisor);
    this.#pagingExpired = false;
    const records: R[] = [];
    let resourceVersion = '';
    try {
      for await (const page of client.listPages(resource, { ...this.#selection(), limit, signal })) {
        // Of one listing it is the same on every page.
        resourceVersion = page.resourceVersion ?? resourceVersion;
        // Whole objects are let go of part by part.
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

  /** Tried once; undefined when it does not work. */
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
      throw new KubeError('Network', 'the watch ended before it had brought everything');
    } catch (error) {
      if (signal.aborted) throw error;
      log.info('a listing could not be had as a watch; reading it in pages', { resource: resource.plural, error });
      return undefined;
    }
  }

  /** Watches until the watch ends, and once more from where it fell silent. */
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
   * Where nothing changes, silence means nothing: an API server whose etcd reports no progress has no bookmark to send. A
   * short watch brings what was missed, if anything was, and that it ends says that its connection is alive. An API server
   * that has not reached the place of the watch would be silent in any case: it was restored from a backup.
   */
  async #probe(from: string, signal: AbortSignal): Promise<void> {
    const { client, resource, log, probe = { watchMs: 10_000, idleTimeoutMs: 20_000 } } = this.#options;
    log.debug('a watch is silent; looking whether it is dead', { resource: resource.plural, group: resource.group });
    const one = { ...this.#selection(), metadataOnly: true, limit: 1, timeoutMs: probe.idleTimeoutMs, signal };
    const { resourceVersion } = await client.list(resource, one);
    if (compareResourceVersions(resourceVersion, from) < 0)
      throw new KubeError('Gone', 'the API server has not reached what it has sent before');
    try {
      await this.#watch(from, probe, signal);
    } catch (error) {
      // Dead: whatever lies between lets no events through, and only a listing tells of changes.
      if (isKubeError(error, 'Timeout')) this.#resourceVersion = undefined;
      throw error;
    }
  }

  async #watch(from: string, { watchMs, idleTimeoutMs }: WatchTimes, signal: AbortSignal): Promise<void> {
    const { client, resource, store } = this.#options;
    const started = performance.now();
    // Shorter by up to a fifth, so that watches that began together do not end together.
    const timeoutSeconds = Math.ceil((watchMs / 1000) * (1 - Math.random() / 5));
    const options = { ...this.#selection(), resourceVersion: from, timeoutSeconds, idleTimeoutMs, signal };
    let events = 0;
    const held = new DeferredEvents<WatchEvent<T>>(
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
        if (event.type === 'BOOKMARK') held.take(event, event.resourceVersion);
        else {
          const { metadata } = event.object;
          // What a write of this process brings about, the answer to the write says as well, and need not be read.
          const write = event.type === 'DELETED' ? undefined : store.writeUnderWay(metadata);
          held.take(event, metadata.resourceVersion, keyOf(metadata), write && settledSoon(write));
        }
      }
    } finally {
      await held.drain();
    }
    // As in client-go: a server that ends watches at once would otherwise be called in a tight loop.
    if (events === 0 && performance.now() - started < 1000) throw new KubeError('Network', 'the watch ended at once');
    this.#failures = 0;
  }

  #apply(event: WatchEvent<T>): void {
    const { transform, store, onEvent } = this.#options;
    if (event.type === 'DELETED') store.observeDeleted(event.object.metadata, event.object.metadata.resourceVersion);
    else if (event.type !== 'BOOKMARK' && store.current(event.object.metadata) === undefined) {
      // What was written through need not be read a second time: that is every write of this process.
      try {
        store.observe(transform(event.object));
      } catch (error) {
        this.#leaveOut(event.object, error);
        // As a listing would: what was known of it before is not what is there.
        store.observeDeleted(event.object.metadata, event.object.metadata.resourceVersion);
      }
    }
    onEvent?.(event.type);
  }

  /** The records of a page, in its order; undefined for an object that is left out. */
  async #readAll(objects: ReadonlyArray<Served<T>>): Promise<(R | undefined)[]> {
    const { transform, transformListed = async (object) => transform(object), store } = this.#options;
    const read = objects.map(async (object) => {
      const known = store.current(object.metadata);
      // A newer version may be from before the cluster was restored from a backup: the Store decides about that.
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
    this.#options.log.error('an object is left out of the cache', {
      kind,
      object: object && keyOf(object.metadata),
      error,
    });
  }

  #failed(error: unknown): void {
    const { log, resource, onError } = this.#options;
    const code = isKubeError(error) ? error.code : 'Malformed';
    this.#failures += 1;
    if (this.#losesPlace(code)) this.#resourceVersion = undefined;
    onError?.(code);
    const fields = { resource: resource.plural, group: resource.group, code, failures: this.#failures, error };
    if (code === 'NotFound') log.warn('the API server does not serve this resource; waiting for it', fields);
    else if (code === 'Gone') log.info('the place in the watch is lost; listing again', fields);
    else log.warn('a watch was interrupted', fields);
  }

  /** Whether the next watch cannot begin where the last one ended. */
  #losesPlace(code: KubeErrorCode): boolean {
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

/** Waits for the end of a write, well or not; not for long, since its answer may be lost. */
async function settledSoon(write: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, longestWriteMs);
  const end = (): void => resolve();
  write.then(end, end);
  await promise;
  clearTimeout(timer);
}
