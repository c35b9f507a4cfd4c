import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { guardFolder } from '../../tools/controlplane/guard.ts';

/**
 * Creates a folder that only this user can read, for instance for keys. It is deleted when this process ends, if not
 * before.
 */
export async function scratchFolder(purpose: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `mtls-${purpose}-`));
  guardFolder(folder);
  return folder;
}
