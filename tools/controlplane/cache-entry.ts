import { existsSync, globSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

import { guardFolder } from './guard.ts';
import { withLock } from './lock.ts';
import { identify } from './processes.ts';

/** A folder in the user's cache. It exists only when it is complete. */
export interface CacheEntry {
  readonly folder: string;
  /** Called once if another process is making the folder and this process waits for it. */
  readonly onWait: () => void;
  /** Fills the empty folder `draft`, which then becomes `folder`. */
  readonly fill: (draft: string) => Promise<void>;
}

/**
 * Makes the folder unless it exists. Processes that ask at the same time share one. A failure, an interruption and a kill
 * leave no folder.
 */
export async function makeCacheEntry({ folder, onWait, fill }: CacheEntry): Promise<void> {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  await withLock(`${folder}.lock`, onWait, async () => {
    if (existsSync(folder)) return;
    removeAbandonedDrafts(folder);
    const draft = `${folder}.${process.pid}`;
    guardFolder(draft);
    mkdirSync(draft);
    try {
      await fill(draft);
      renameSync(draft, folder);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      // The complete folder of another process will do.
      if (!existsSync(folder)) throw error;
    }
  });
}

/** Removes drafts that the guard could not remove, for example after a power cut. A draft's name ends with the pid of its process. */
function removeAbandonedDrafts(folder: string): void {
  for (const draft of globSync(`${folder}.*[0-9]`)) {
    const pid = Number(draft.slice(draft.lastIndexOf('.') + 1));
    if (pid === process.pid || identify(pid) === undefined) rmSync(draft, { recursive: true, force: true });
  }
}
