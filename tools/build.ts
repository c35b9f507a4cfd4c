// npm run build: the operator as JavaScript, in dist/, as its image ships it.

import { existsSync, globSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from './controlplane/command.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
const MAIN = join(DIST, 'main.js');

/** The folders as well: they are what changes when a file is removed. */
const SOURCES = ['src', 'src/**', 'tsconfig*.json'];

/** Compiles `src` unless what was compiled last is newer. Returns the path of its main.js; throws with the compiler's words. */
export async function buildOperator(): Promise<string> {
  if (!isOutdated()) return MAIN;
  // Beside it at first, so that a compilation that fails or is cut short is never taken for a whole one.
  const draft = `${DIST}-${process.pid}`;
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  try {
    const args = ['--project', 'tsconfig.build.json', '--outDir', draft];
    const { code, stdout, stderr } = await output(process.execPath, [tsc, ...args], { cwd: ROOT });
    if (code !== 0) throw new Error(`the operator cannot be compiled:\n${stdout}${stderr}`);
    rmSync(DIST, { recursive: true, force: true });
    renameSync(draft, DIST);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return MAIN;
}

function isOutdated(): boolean {
  if (!existsSync(MAIN)) return true;
  const builtMs = statSync(MAIN).mtimeMs;
  return globSync(SOURCES, { cwd: ROOT }).some((path) => statSync(join(ROOT, path)).mtimeMs > builtMs);
}

if (import.meta.main) console.log(await buildOperator());
