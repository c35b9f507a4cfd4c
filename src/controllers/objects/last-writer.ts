import type { GuardedClient, KubeObject, ObjectRef, Resource } from '../../kube/index.ts';
import { lastWriter } from '../../plan/index.ts';

/** Which other client has changed an object last, see lastWriter. Asks the API server: caches have no managedFields. */
export async function readLastWriter<T extends KubeObject>(
  client: Pick<GuardedClient, 'find'>,
  resource: Resource<T>,
  ref: ObjectRef,
  signal: AbortSignal,
): Promise<string | undefined> {
  const live = await client.find(resource, ref, { signal, metadataOnly: true });
  return lastWriter((live?.metadata as { readonly managedFields?: unknown } | undefined)?.managedFields);
}
