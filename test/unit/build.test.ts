import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
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
