import type { ObjectRef } from '../workqueue/object-key.ts';
import type { KubeClient } from './client.ts';
import type { DeleteOptions, MergePatch, MetadataOnly, WriteOptions } from './client-options.ts';
import type { KubeObject, Served } from './object.ts';
import type { Resource } from './resource.ts';

/**
 * A merge patch that fails with `Conflict` if the object has changed since it was observed, or if another object has its name now.
 * A UID alone is not a precondition of a patch: for another UID the API server answers `Invalid`.
 */
export type GuardedPatch<T extends KubeObject> = MergePatch<T> & {
  readonly metadata: { readonly resourceVersion: string };
};

/** A deletion that fails with `Conflict` if another object has the name now. */
export type GuardedDeletion = DeleteOptions & { readonly uid: string };

/**
 * The KubeClient for controllers. Every patch and deletion requires a precondition: the caches of a controller may be outdated,
 * and another replica may already lead, so a write without a precondition could overwrite the change of another client.
 */
export interface GuardedClient
  extends Pick<KubeClient, 'create' | 'find' | 'get' | 'jsonPatch' | 'list' | 'listPages' | 'serverTime' | 'watch'> {
  /** @see KubeClient.mergePatch */
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: GuardedPatch<T>,
    options: WriteOptions & MetadataOnly,
  ): Promise<Served<KubeObject>>;
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: GuardedPatch<T>,
    options?: WriteOptions,
  ): Promise<Served<T>>;
  /** @see KubeClient.replace. It replaces the status. */
  replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T & { readonly metadata: { readonly resourceVersion: string } },
    options: WriteOptions & MetadataOnly & { readonly subresource: 'status' },
  ): Promise<Served<KubeObject>>;
  /** @see KubeClient.delete */
  delete<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: GuardedDeletion): Promise<void>;
}
