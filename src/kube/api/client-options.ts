import type { Log } from './log.ts';
import type { KubeObject, Served } from './object.ts';
import type { RequestRecord } from './request.ts';

export interface KubeClientOptions {
  /** `name/version`. The API server uses the part before the slash as the field manager of writes. */
  readonly userAgent: string;
  readonly onRequest?: ((record: RequestRecord) => void) | undefined;
  readonly log?: Log | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** The deadline of the whole call with its retries, in milliseconds. Default 30 s. */
  readonly timeoutMs?: number | undefined;
}

export interface Selection {
  /** Default: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Request only the metadata of the objects. */
  readonly metadataOnly?: boolean | undefined;
  /** Parse only the metadata of a large object, see parseObject. For kinds of which any user can create large objects. */
  readonly skipsLarge?: boolean | undefined;
}

export interface ListOptions extends CallOptions, Selection {
  /** The number of objects on a page. Default: all objects. */
  readonly limit?: number | undefined;
  readonly continueToken?: string | undefined;
}

export interface ListPage<T extends KubeObject> {
  readonly items: readonly Served<T>[];
  /** The resourceVersion of the collection. It is the same on every page of a list. */
  readonly resourceVersion: string;
  /** Requests the next page; undefined on the last page. */
  readonly continueToken: string | undefined;
}

export interface WatchOptions extends Selection {
  readonly signal?: AbortSignal | undefined;
  /** Watch events after this resourceVersion. If undefined, the watch starts with an ADDED event for each object and a bookmark. */
  readonly resourceVersion: string | undefined;
  /** After this time the API server ends the watch, in seconds. */
  readonly timeoutSeconds?: number | undefined;
  /** How long no data may arrive before the watch fails with `Timeout`, in milliseconds. Default: no limit. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** A precondition: the name still belongs to the object with this UID. */
  readonly uid?: string | undefined;
  /** A precondition: the object has not changed since this resourceVersion. */
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
}

export interface WriteOptions extends CallOptions {
  /** For instance `status`. */
  readonly subresource?: string | undefined;
}

/** Requests only the metadata in the answer to a write. For a large object this saves half of the traffic. */
export interface MetadataOnly {
  readonly metadataOnly: true;
}

/** One operation of a JSON patch (RFC 6902). `path` is a JSON pointer. */
export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'test';
  readonly path: string;
  readonly value?: unknown;
}

/** A JSON patch with a precondition: the object has not changed since this resourceVersion. */
export interface JsonPatch {
  readonly resourceVersion: string;
  readonly operations: readonly JsonPatchOperation[];
}

/** A merge patch (RFC 7386) of a T. null removes a field. `metadata.resourceVersion` in the patch is a precondition. */
export type MergePatch<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: MergePatch<Exclude<T[K], undefined>> | null | undefined }
    : T;
