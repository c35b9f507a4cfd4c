import { join } from 'node:path';

import { mountSecret, secretFiles } from '../secret-volume.ts';
import type { Objects } from './objects.ts';

/** Folders with the content of Secrets, as in a pod that mounts them. */
export interface Mounts {
  /** The folder of a Secret. */
  folder(secretName: string): string;
  /** Resolves when the folders have every change so far. Throws if one could not be written. */
  settled(): Promise<void>;
}

/** Writes each Secret of the namespace into its own folder and updates it on changes, as kubelet does. */
export function mountSecrets(objects: Objects, parent: string): Mounts {
  const folder = (secretName: string): string => join(parent, secretName);
  // One at a time: two simultaneous updates of one folder would conflict.
  let work = Promise.resolve();
  objects.onSecret((secret) => {
    work = work.then(() => mountSecret(folder(secret.metadata.name), secretFiles(secret)));
    // settled() reports the error.
    work.catch(() => {});
  });
  return { folder, settled: () => work };
}
