import type { Caches } from '../../../../src/controllers/cache/caches.ts';
import { keepCaches } from '../../../../src/controllers/cache/keep-caches.ts';
import { silentLog } from '../../../../src/kube/index.ts';
import type { MemoryClient } from './memory-client.ts';

/**
 * Fills the caches as the Operator does, and keeps them up to date until the signal aborts.
 * @returns after they are filled: a function whose promise resolves when they are no longer kept up to date
 */
export async function fillCaches(
  caches: Caches,
  memory: MemoryClient,
  signal: AbortSignal,
  afterRoots: () => Promise<void>,
): Promise<() => Promise<void>> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const ignore = () => undefined;
  const sources = { client: memory.client, namespace: 'mtls-operator', log: silentLog };
  const kept = keepCaches(caches, { ...sources, onError: ignore, onListed: ignore }, signal, {
    afterRoots,
    afterAll: resolve,
  });
  await promise;
  await memory.settled();
  return () => kept;
}
