import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { buildOperator } from '../../tools/build.ts';
import { output } from '../../tools/controlplane/command.ts';
import { scratchFolder } from '../support/scratch.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
}

test('the built operator starts with only the packages of the image', async () => {
  const app = await scratchFolder('build');
  symlinkSync(dirname(await buildOperator()), join(app, 'dist'));
  symlinkSync(join(ROOT, 'package.json'), join(app, 'package.json'));
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as LockFile;
  const nested = /node_modules\/.*\/node_modules\//;
  for (const [path, { dev, optional }] of Object.entries(packages)) {
    if (path === '' || dev === true || optional === true || nested.test(path)) continue;
    mkdirSync(dirname(join(app, path)), { recursive: true });
    symlinkSync(join(ROOT, path), join(app, path));
  }
  // Without following links, packages find each other only in this folder.
  const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
  const { code, stdout, stderr } = await output(process.execPath, [...flags, join(app, 'dist/main.js'), '--help']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Usage: mtls-operator /);
});

test('builds in one folder at the same time do not disturb each other', async () => {
  const copy = await scratchFolder('builds');
  for (const path of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'tools/build.ts', 'tools/controlplane']) {
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  // The lock is in node_modules, so the copy needs a folder of its own.
  mkdirSync(join(copy, 'node_modules'));
  for (const name of ['.bin', '@types', 'typescript', '@typescript', 'undici-types']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(copy, 'node_modules', name));
  }
  mkdirSync(join(copy, 'src'));
  writeFileSync(join(copy, 'src/main.ts'), 'export const answer = 42;\n');
  const build = () => output(process.execPath, [join(copy, 'tools/build.ts')], { cwd: copy });
  const results = await Promise.all(Array.from({ length: 6 }, build));
  assert.deepEqual(
    results.map(({ code, stderr }) => [code, stderr]),
    results.map(() => [0, '']),
  );
  assert.match(readFileSync(join(copy, 'dist/main.js'), 'utf8'), /answer = 42/);
});
