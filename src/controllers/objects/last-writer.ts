import type { GuardedClient, KubeObject, ObjectRef, Resource } from '../../kube/index.ts';
import { lastWriter } from '../../plan/index.ts';

/**
 * The client other than the operator that changed an object last. Reads the API server, because caches have no managedFields.
 * @param field only a client that owns a field of this name. A client that only removed fields is unknown.
 */
export async function readLastWriter<T extends KubeObject>(
  client: Pick<GuardedClient, 'find'>,
  resource: Resource<T>,
  ref: ObjectRef,
  signal: AbortSignal,
  field?: string,
): Promise<string | undefined> {
  const live = await client.find(resource, ref, { signal, metadataOnly: true });
  return lastWriter((live?.metadata as { readonly managedFields?: unknown } | undefined)?.managedFields, field);
}
