import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

import { pollUntil } from './poll.ts';
import { identify, isRunning, type ProcessIdentity } from './processes.ts';

/**
 * Runs `work` while holding the lock file `path`; waits as long as another living process holds it and calls `onWait`
 * once before that. A lock whose holder has died is taken over; of several that do so at the same instant two may get it,
 * so `work` must bear that.
 */
export async function withLock<T>(path: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  if (!tryLock(path)) {
    onWait();
    await pollUntil(() => tryLock(path), Number.POSITIVE_INFINITY, 200);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path: string): boolean {
  const holder = readHolder(path);
  if (holder !== undefined) {
    if (isRunning(holder)) return false;
    rmSync(path, { force: true });
  }
  // Linked into place, so that nobody ever sees a lock without its holder's identity.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(identify(process.pid)));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
