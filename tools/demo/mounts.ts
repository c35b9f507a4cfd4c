import { join } from 'node:path';

import { mountSecret, secretFiles } from '../secret-volume.ts';
import type { Objects } from './objects.ts';

/** Folders that hold what Secrets hold, as in a pod that mounts them. */
export interface Mounts {
  /** Where the Secret of this name is mounted. */
  folder(secretName: string): string;
  /** Resolves when everything that changed until now is in the folders. Throws if it could not be written. */
  settled(): Promise<void>;
}

/** Mounts every Secret of the namespace into a folder of its own, and again when it changes: kubelet's part. */
export function mountSecrets(objects: Objects, parent: string): Mounts {
  const folder = (secretName: string): string => join(parent, secretName);
  // One after the other: two swaps of the same folder would get into each other's way.
  let work = Promise.resolve();
  objects.onSecret((secret) => {
    work = work.then(() => mountSecret(folder(secret.metadata.name), secretFiles(secret)));
    // Whoever asks for settled() hears of it.
    work.catch(() => {});
  });
  return { folder, settled: () => work };
}
