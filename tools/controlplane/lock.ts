import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

import { pollUntil } from './poll.ts';
import { identify, isRunning, type ProcessIdentity } from './processes.ts';

/**
 * Runs `work` while holding the lock file `path`. If another running process holds it, calls `onWait` once and waits. A
 * lock whose holder has ended is taken over. If several processes do that at the same instant, two may hold the lock, so
 * `work` must be safe in that case.
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
  // A link is atomic: no process sees a lock file without its holder's identity.
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
