import type { DeleteOptions, KubeClient, MergePatch, MetadataOnly, WriteOptions } from './client.ts';
import type { KubeObject, ObjectRef, Served } from './object.ts';
import type { Resource } from './resource.ts';

/**
 * Names the object that was observed. A write with a precondition fails with `Conflict` if another object has the name now
 * (`uid`), or if the object has changed since (`resourceVersion`).
 */
export type Precondition =
  | { readonly uid: string; readonly resourceVersion?: string | undefined }
  | { readonly uid?: string | undefined; readonly resourceVersion: string };

/** A merge patch with a precondition in its metadata. */
export type GuardedPatch<T extends KubeObject> = MergePatch<T> & { readonly metadata: Precondition };

/**
 * The KubeClient that controllers get: it changes or deletes an object only under a precondition. A controller decides by
 * caches that may be behind, and another replica may lead by now, so a write without a precondition could destroy the work
 * of someone else.
 */
export interface GuardedClient extends Pick<KubeClient, 'create' | 'find' | 'get' | 'list' | 'listPages' | 'watch'> {
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
  /** @see KubeClient.delete */
  delete<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: DeleteOptions & Precondition,
  ): Promise<void>;
}
