import type { Readable } from 'node:stream';
import type { ObjectRef } from '../workqueue/object-key.ts';
import type {
  CallOptions,
  DeleteOptions,
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
 * Calls the API server, one method per verb. A call fails with a KubeError. Throttling (429, and 503 with Retry-After: the
 * server has not looked at the request) is waited out inside, within the deadline; a 401 is answered once with fresh
 * credentials; a read is repeated once when its connection broke. A write whose answer was lost is never repeated: the
 * error says `outcomeUnknown`, and the caller must look again.
 */
export class KubeClient {
  readonly #connection: Connection;
  readonly #requests: Requests;

  constructor(connection: Connection, { userAgent, onRequest, log }: KubeClientOptions) {
    this.#connection = connection;
    this.#requests = new Requests(connection, userAgent, onRequest ?? ((): void => {}), log ?? silentLog);
  }

  /** Throws `NotFound` when there is none. */
  async get<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions & Pick<Selection, 'metadataOnly'> = {},
  ): Promise<Served<T>> {
    const accept = acceptFor(options, 'PartialObjectMetadata');
    return this.#object({ verb: 'get', resource: resource.plural, path: objectPath(resource, ref), accept }, options);
  }

  /** The same for what may not be there: undefined when there is none. */
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

  /** One page of a collection as a whole: only for few and small objects. Without `limit`, it is the whole collection. */
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
   * One consistent listing, in parts of a few MiB: never is a whole page in memory, however large its objects are. `limit` is
   * what one request asks for. The body is read on, and the API server has to wait, when the caller comes back for more; the
   * next page is on its way while the caller is busy with the last part of a page. The deadline is for how long nothing may
   * arrive. Throws `Gone` when the listing took so long that it expired.
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

  /** Throws `AlreadyExists` when the name is taken. */
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

  /** Writes the whole object (PUT). `metadata.resourceVersion`, where it is given, is a precondition: `Conflict`. */
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

  /** Changes parts of an object. Throws `NotFound`, and `Conflict` when the precondition in the patch does not hold. */
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

  /** Throws `NotFound` when it is gone already, `Conflict` when a precondition does not hold. */
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
   * The changes of a collection after `resourceVersion`, bookmarks included, until the API server ends the watch (the
   * loop is then over) or `signal` aborts (`Aborted`). Throws `Gone` when that resourceVersion is no longer kept,
   * `Timeout` when nothing came for `idleTimeoutMs`, `Network` when the connection broke, `Invalid` when it is to begin with
   * all there is and the API server cannot do that (KEP-3157). Nothing is repeated here.
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
        ...(resourceVersion === undefined ? everythingFirst : { resourceVersion }),
        timeoutSeconds: options.timeoutSeconds?.toString(),
      },
      accept: acceptFor(options, 'PartialObjectMetadata'),
    };
    const idleTimeoutMs = options.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    const deadline = new Deadline(
      `the watch on ${resource.plural}${this.#connection.via} brought nothing`,
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

  /** Ends the connections. Watches are cut, calls under way have a second to finish. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Sends the request. What goes wrong with it is thrown to whoever reads it. */
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
      // What the caller has already must not come twice: another answer may be of another moment.
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

/** A page that was asked for. */
interface OpenList {
  readonly call: Call;
  readonly body: Promise<Readable>;
  /** Runs until the answer begins, and then while it is read. */
  readonly deadline: Deadline;
  /** Lets go of it when nobody is going to read it. */
  readonly cancel: () => void;
}

const listCall = (resource: Resource<KubeObject>, options: ListOptions): Call => ({
  verb: 'list',
  resource: resource.plural,
  path: collectionPath(resource, options.namespace),
  query: { ...selectors(options), limit: options.limit?.toString(), continue: options.continueToken },
  accept: acceptFor(options, 'PartialObjectMetadataList'),
});

const everythingFirst = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };

function selectors({ labelSelector, fieldSelector }: Selection): Call['query'] & object {
  return { labelSelector, fieldSelector };
}

function acceptFor({ metadataOnly }: Pick<Selection, 'metadataOnly'>, kind: string): string {
  return metadataOnly ? `application/json;as=${kind};g=meta.k8s.io;v=v1` : 'application/json';
}

function serialise(resource: Resource<KubeObject>, object: KubeObject): string {
  return JSON.stringify({ ...object, apiVersion: apiVersionOf(resource), kind: resource.kind });
}
