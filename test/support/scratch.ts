import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { guardFolder } from '../../tools/controlplane/guard.ts';

/** A new folder that only this user can read, for instance for keys. It is gone at the latest when this process ends. */
export async function scratchFolder(purpose: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `mtls-${purpose}-`));
  guardFolder(folder);
  return folder;
}
