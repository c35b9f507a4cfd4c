import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheFolder } from '../../../tools/controlplane/folders.ts';
import { type Command, run } from './process.ts';

interface Compilation {
  readonly command: Command;
  readonly cwd?: string;
}

/** The largest programs take minutes on a busy machine. */
const timeoutMs = 20 * 60_000;

const underWay = new Map<string, Promise<string>>();

/**
 * The folder with the output of `compile` for `sources`. It is compiled once for each content of the sources, and kept in
 * the user's cache. Two processes may compile at the same time. Throws with the compiler's output if it fails.
 */
export async function compiled(
  name: string,
  sources: readonly string[],
  compile: (outputFolder: string) => Compilation,
): Promise<string> {
  const content = createHash('sha256');
  for (const source of sources) content.update(await readFile(source));
  const cache = join(cacheFolder(), 'peers');
  const folder = join(cache, `${name}-${content.digest('hex').slice(0, 16)}`);
  const compilation = underWay.get(folder) ?? compileInto(folder, cache, compile);
  underWay.set(folder, compilation);
  return compilation;
}

async function compileInto(
  folder: string,
  cache: string,
  compile: (outputFolder: string) => Compilation,
): Promise<string> {
  const isThere = async (): Promise<boolean> =>
    access(folder).then(
      () => true,
      () => false,
    );
  if (await isThere()) return folder;
  await mkdir(cache, { recursive: true });
  const staged = await mkdtemp(`${folder}.`);
  try {
    const { command, cwd } = compile(`${staged}/`);
    const { code, stdout, stderr } = await run(command, { ...(cwd === undefined ? {} : { cwd }), timeoutMs });
    if (code !== 0) throw new Error(`${command.join(' ')} failed:\n${stdout}${stderr}`);
    // Another process may have finished first: renaming onto a folder with content fails.
    await rename(staged, folder).catch(async (error: unknown) => {
      if (!(await isThere())) throw error;
    });
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
  return folder;
}
