// npm run build: compiles the operator to JavaScript in dist/, as in the image.

import { existsSync, globSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from './controlplane/command.ts';
import { withLock } from './controlplane/lock.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
const MAIN = join(DIST, 'main.js');

/** Includes the folders, because removing a file changes only the modification time of its folder. */
const SOURCES = ['src', 'src/**', 'tsconfig*.json'];

/** Compiles `src` if dist/ is older. Returns the path of main.js. Throws with the compiler's output. */
export async function buildOperator(): Promise<string> {
  // Two processes that replace dist/ at the same time would fail, or remove what the other one starts.
  if (isOutdated()) await withLock(join(ROOT, 'node_modules', '.mtls-operator-build.lock'), () => {}, compile);
  return MAIN;
}

async function compile(): Promise<void> {
  if (!isOutdated()) return;
  // Compiles into a draft folder, so that dist/ never contains an incomplete compilation.
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
}

function isOutdated(): boolean {
  if (!existsSync(MAIN)) return true;
  const builtMs = statSync(MAIN).mtimeMs;
  return globSync(SOURCES, { cwd: ROOT }).some((path) => statSync(join(ROOT, path)).mtimeMs > builtMs);
}

if (import.meta.main) console.log(await buildOperator());
