import type { Log } from './log.ts';
import type { KubeObject, Served } from './object.ts';
import type { RequestRecord } from './request.ts';

export interface KubeClientOptions {
  /** `name/version`; the API server takes what is before the slash as the field manager of writes. */
  readonly userAgent: string;
  readonly onRequest?: ((record: RequestRecord) => void) | undefined;
  readonly log?: Log | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call with its repeats, in milliseconds. Default 30 s. */
  readonly timeoutMs?: number | undefined;
}

export interface Selection {
  /** Left out: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Objects come with their metadata only. */
  readonly metadataOnly?: boolean | undefined;
  /** Of a large object only the metadata are read, see parseObject. For objects that anybody can make large. */
  readonly skipsLarge?: boolean | undefined;
}

export interface ListOptions extends CallOptions, Selection {
  /** Objects on one page. Left out: all of them. */
  readonly limit?: number | undefined;
  readonly continueToken?: string | undefined;
}

export interface ListPage<T extends KubeObject> {
  readonly items: readonly Served<T>[];
  /** Of the whole collection; the same on every page of one listing. */
  readonly resourceVersion: string;
  /** Where the next page begins; none on the last one. */
  readonly continueToken: string | undefined;
}

export interface WatchOptions extends Selection {
  readonly signal?: AbortSignal | undefined;
  /** Events after this resourceVersion; without one, first an ADDED event for all there is, and the bookmark that says so. */
  readonly resourceVersion: string | undefined;
  /** After which the API server ends the watch by itself, in seconds. */
  readonly timeoutSeconds?: number | undefined;
  /** How long the connection may bring nothing at all, in milliseconds, before it counts as dead. Default: for ever. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** A precondition: what is deleted is the very object that was seen. */
  readonly uid?: string | undefined;
  /** A precondition: the object has not changed since. */
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Such as `status`. */
  readonly subresource?: string | undefined;
}

/**
 * Asks for an answer to a write that is the metadata of the object alone. What was just sent does not come back, which
 * for a large object is most of what the write costs on the way.
 */
export interface MetadataOnly {
  readonly metadataOnly: true;
}

/** A merge patch (RFC 7386) of a T: parts of it, null to remove. `metadata.resourceVersion` in it is a precondition. */
export type MergePatch<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: MergePatch<Exclude<T[K], undefined>> | null | undefined }
    : T;
