import type { Readable } from 'node:stream';
import type { ObjectRef } from '../workqueue/object-key.ts';
import type {
  CallOptions,
  DeleteOptions,
  JsonPatch,
  KubeClientOptions,
  ListOptions,
  ListPage,
  MergePatch,
  MetadataOnly,
  Selection,
  WatchOptions,
  WriteOptions,
} from './client-options.ts';
import type { Connection } from './connection.ts';
import { Deadline } from './deadline.ts';
import { isKubeError, KubeError } from './kube-error.ts';
import { type LastPart, type ListPart, partLimits, readList } from './list.ts';
import { silentLog } from './log.ts';
import type { KubeObject, Served } from './object.ts';
import { type Call, isBrokenConnection, Requests } from './request.ts';
import { apiVersionOf, collectionPath, objectPath, type Resource } from './resource.ts';
import { readWatch, type WatchEvent } from './watch-stream.ts';

const defaultTimeoutMs = 30_000;

/**
 * A client for the API server, with one method per verb. A failed call throws a KubeError. The client retries a throttled request
 * within its deadline (429, or 503 with Retry-After, which the API server sends before it processes the request). After a 401 it
 * retries once with fresh credentials. It retries a read once if the connection broke. It never retries a write whose answer was
 * lost: the error has `outcomeUnknown`, and the caller must read the object again.
 */
export class KubeClient {
  readonly #connection: Connection;
  readonly #requests: Requests;

  constructor(connection: Connection, { userAgent, onRequest, log }: KubeClientOptions) {
    this.#connection = connection;
    this.#requests = new Requests(connection, userAgent, onRequest ?? ((): void => {}), log ?? silentLog);
  }

  /** The time of the API server, as its last answer shows it: never ahead of its clock. Undefined before the first answer. */
  serverTime(): Date | undefined {
    return this.#requests.serverClock.now();
  }

  /** Reads an object. Throws `NotFound` if it does not exist. */
  async get<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions & Pick<Selection, 'metadataOnly'> = {},
  ): Promise<Served<T>> {
    const accept = acceptFor(options, 'PartialObjectMetadata');
    return this.#object({ verb: 'get', resource: resource.plural, path: objectPath(resource, ref), accept }, options);
  }

  /** Reads an object. Returns undefined if it does not exist. */
  async find<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions & Pick<Selection, 'metadataOnly'> = {},
  ): Promise<Served<T> | undefined> {
    try {
      return await this.get(resource, ref, options);
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  /** Lists one page of a collection, or without `limit` the whole collection. The page is in memory as a whole, so objects must be few and small. */
  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ListPage<T>> {
    const call = listCall(resource, options);
    const answer = (await this.#json(call, options)) as {
      readonly items?: readonly Served<T>[] | null;
      readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
    };
    const { resourceVersion, continue: continueToken } = answer.metadata ?? {};
    if (!resourceVersion) throw new KubeError('Malformed', `the list of ${resource.plural} has no resourceVersion`);
    return { items: answer.items ?? [], resourceVersion, continueToken: continueToken || undefined };
  }

  /**
   * Lists a collection consistently, in parts of a few MiB, so that a page of large objects is never in memory as a whole. `limit`
   * is the page size of the requests. The client reads the body further only when the caller asks for the next part, and requests
   * the next page while the caller processes the last part of a page. The timeout limits how long no data may arrive.
   * Throws `Gone` if the continue token expires before the end of the list.
   */
  async *listPages<T extends KubeObject>(
    resource: Resource<T>,
    options: Omit<ListOptions, 'continueToken'> = {},
  ): AsyncGenerator<ListPart<T>, void, undefined> {
    let next: OpenList | undefined = this.#openList(listCall(resource, options), options);
    try {
      while (next !== undefined) {
        const page: OpenList = next;
        next = undefined;
        for await (const part of this.#partsOf<T>(page, options)) {
          if ('isLast' in part && part.continueToken !== undefined) {
            const { continueToken } = part;
            next = this.#openList(listCall(resource, { ...options, continueToken }), options);
          }
          yield part;
        }
      }
    } finally {
      next?.cancel();
    }
  }

  /** Creates an object. Throws `AlreadyExists` if there is an object with this name. */
  create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: CallOptions & MetadataOnly,
  ): Promise<Served<KubeObject>>;
  create<T extends KubeObject>(resource: Resource<T>, object: T, options?: CallOptions): Promise<Served<T>>;
  async create(
    resource: Resource<KubeObject>,
    object: KubeObject,
    options: CallOptions & Partial<MetadataOnly> = {},
  ): Promise<Served<KubeObject>> {
    const { namespace, name } = object.metadata;
    if (resource.namespaced && !namespace) throw new TypeError(`${resource.kind} ${name} needs a namespace`);
    const path = collectionPath(resource, namespace);
    const body = serialise(resource, object);
    const accept = acceptFor(options, 'PartialObjectMetadata');
    return this.#object({ verb: 'create', resource: resource.plural, path, accept, body }, options);
  }

  /** Replaces an object (PUT). Throws `Conflict` if `metadata.resourceVersion` is set and outdated. */
  replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & MetadataOnly,
  ): Promise<Served<KubeObject>>;
  replace<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<Served<T>>;
  async replace(
    resource: Resource<KubeObject>,
    object: KubeObject,
    options: WriteOptions & Partial<MetadataOnly> = {},
  ): Promise<Served<KubeObject>> {
    const path = objectPath(resource, object.metadata, options.subresource);
    const body = serialise(resource, object);
    const accept = acceptFor(options, 'PartialObjectMetadata');
    return this.#object({ verb: 'update', resource: resource.plural, path, accept, body }, options);
  }

  /** Patches an object. Throws `NotFound` if it does not exist, and `Conflict` if the resourceVersion in the patch is outdated. */
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: MergePatch<T>,
    options: WriteOptions & MetadataOnly,
  ): Promise<Served<KubeObject>>;
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: MergePatch<T>,
    options?: WriteOptions,
  ): Promise<Served<T>>;
  async mergePatch(
    resource: Resource<KubeObject>,
    ref: ObjectRef,
    patch: MergePatch<KubeObject>,
    options: WriteOptions & Partial<MetadataOnly> = {},
  ): Promise<Served<KubeObject>> {
    const path = objectPath(resource, ref, options.subresource);
    const contentType = 'application/merge-patch+json';
    const body = JSON.stringify(patch);
    const accept = acceptFor(options, 'PartialObjectMetadata');
    return this.#object({ verb: 'patch', resource: resource.plural, path, accept, contentType, body }, options);
  }

  /**
   * Patches an object with a JSON patch (RFC 6902). Throws `NotFound` if it does not exist, `Conflict` if the resourceVersion is
   * outdated, and `Invalid` if an operation cannot be carried out.
   */
  async jsonPatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    { resourceVersion, operations }: JsonPatch,
    options: CallOptions = {},
  ): Promise<Served<T>> {
    // The API server compares the resourceVersion in the patched object with the stored one.
    const precondition = { op: 'add', path: '/metadata/resourceVersion', value: resourceVersion };
    const path = objectPath(resource, ref);
    const contentType = 'application/json-patch+json';
    const body = JSON.stringify([precondition, ...operations]);
    return this.#object({ verb: 'patch', resource: resource.plural, path, contentType, body }, options) as Promise<
      Served<T>
    >;
  }

  /** Deletes an object. Throws `NotFound` if it does not exist, and `Conflict` if a precondition fails. */
  async delete<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy } = options;
    const preconditions = { uid, resourceVersion };
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy });
    const path = objectPath(resource, ref);
    await this.#json({ verb: 'delete', resource: resource.plural, path, body }, options);
  }

  /**
   * Watches the changes of a collection after `resourceVersion`, including bookmarks. The iteration ends when the API server ends
   * the watch. Throws `Aborted` when `signal` aborts, `Gone` if the API server no longer has the resourceVersion, `Timeout` if no
   * data arrives for `idleTimeoutMs`, `Network` if the connection breaks, and `Invalid` if `resourceVersion` is undefined and the
   * API server does not support initial events (KEP-3157). The client does not retry a watch.
   */
  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const { resourceVersion } = options;
    const call: Call = {
      verb: 'watch',
      resource: resource.plural,
      path: collectionPath(resource, options.namespace),
      query: {
        ...selectors(options),
        watch: 'true',
        allowWatchBookmarks: 'true',
        ...(resourceVersion === undefined ? withInitialEvents : { resourceVersion }),
        timeoutSeconds: options.timeoutSeconds?.toString(),
      },
      accept: acceptFor(options, 'PartialObjectMetadata'),
    };
    const idleTimeoutMs = options.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    const deadline = new Deadline(
      `no data from the watch on ${resource.plural}${this.#connection.via}`,
      idleTimeoutMs,
      options.signal,
    );
    try {
      yield* readWatch<T>(await this.#requests.stream(call, deadline), () => deadline.extend(), options.skipsLarge);
    } catch (error) {
      throw this.#requests.classify(error, call, deadline);
    } finally {
      deadline.end();
    }
  }

  /** Closes the connections. Watches end at once. Other requests in progress have a second to finish. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Sends the request. The reader of `body` gets the error if it fails. */
  #openList(call: Call, { timeoutMs = defaultTimeoutMs, signal }: CallOptions): OpenList {
    const what = `no answer to list ${call.resource}${this.#connection.via}`;
    const deadline = new Deadline(what, timeoutMs, signal);
    const body = this.#requests.open(call, deadline).then(
      (stream) => {
        deadline.pause();
        return stream;
      },
      (error: unknown) => {
        deadline.end();
        throw error;
      },
    );
    body.catch(() => {});
    const cancel = (): void => {
      deadline.end();
      body.then(
        (stream) => stream.destroy(),
        () => {},
      );
    };
    return { call, body, deadline, cancel };
  }

  async *#partsOf<T extends KubeObject>(
    { call, body, deadline }: OpenList,
    options: CallOptions & Pick<Selection, 'skipsLarge'>,
    isRepeated = false,
  ): AsyncGenerator<ListPart<T> | LastPart<T>, void, undefined> {
    let isBegun = false;
    const stream = await body;
    try {
      deadline.extend();
      for await (const part of readList<T>(stream, () => deadline.extend(), partLimits, options.skipsLarge)) {
        isBegun = true;
        deadline.pause();
        yield part;
        deadline.extend();
      }
      return;
    } catch (error) {
      const failure = this.#requests.classify(error, call, deadline);
      // Do not retry once the caller has a part: the next answer would repeat its objects, possibly in a later version.
      if (isBegun || isRepeated || !isBrokenConnection(failure)) throw failure;
    } finally {
      deadline.end();
    }
    yield* this.#partsOf<T>(this.#openList(call, options), options, true);
  }

  #object<T extends KubeObject>(call: Call, options: CallOptions): Promise<Served<T>> {
    return this.#json(call, options) as Promise<Served<T>>;
  }

  async #json(call: Call, options: CallOptions): Promise<unknown> {
    const what = `no answer to ${call.verb} ${call.resource}${this.#connection.via}`;
    const deadline = new Deadline(what, options.timeoutMs ?? defaultTimeoutMs, options.signal);
    try {
      return await this.#requests.json(call, deadline);
    } finally {
      deadline.end();
    }
  }
}

/** A list request that was sent, before its answer is read. */
interface OpenList {
  readonly call: Call;
  readonly body: Promise<Readable>;
  /** Runs until the answer begins, and again while the body is read. */
  readonly deadline: Deadline;
  /** Closes the answer if it will not be read. */
  readonly cancel: () => void;
}

const listCall = (resource: Resource<KubeObject>, options: ListOptions): Call => ({
  verb: 'list',
  resource: resource.plural,
  path: collectionPath(resource, options.namespace),
  query: { ...selectors(options), limit: options.limit?.toString(), continue: options.continueToken },
  accept: acceptFor(options, 'PartialObjectMetadataList'),
});

const withInitialEvents = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };

function selectors({ labelSelector, fieldSelector }: Selection): Call['query'] & object {
  return { labelSelector, fieldSelector };
}

function acceptFor({ metadataOnly }: Pick<Selection, 'metadataOnly'>, kind: string): string {
  return metadataOnly ? `application/json;as=${kind};g=meta.k8s.io;v=v1` : 'application/json';
}

function serialise(resource: Resource<KubeObject>, object: KubeObject): string {
  return JSON.stringify({ ...object, apiVersion: apiVersionOf(resource), kind: resource.kind });
}
