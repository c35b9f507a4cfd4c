import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { output } from '../../tools/controlplane/command.ts';
import { writeImage } from '../../tools/node/image.ts';
import { writeTar } from '../../tools/node/tar.ts';
import { scratchFolder } from '../support/scratch.ts';

const UNAVAILABLE = fileURLToPath(new URL('../../tools/node/unavailable.ts', import.meta.url));

const skip = process.platform === 'linux' ? false : 'only Linux can run a node';

/** What nodeUnavailable() returns in another process. */
async function reasonWith(setup: string): Promise<string> {
  const source = `const { nodeUnavailable } = await import(${JSON.stringify(UNAVAILABLE)}); ${setup}; console.log(nodeUnavailable());`;
  const { stdout, stderr } = await output(process.execPath, ['--input-type=module', '--eval', source]);
  assert.equal(stderr, '');
  return stdout.trim();
}

describe('a machine that cannot run a node has one line that says why', () => {
  for (const { title, setup, reason } of [
    {
      title: 'another operating system',
      setup: "Object.defineProperty(process, 'platform', { value: 'darwin' })",
      reason: 'a node needs Linux',
    },
    { title: 'another user than root', setup: 'process.getuid = () => 1000', reason: 'a node needs root' },
    {
      title: 'programs that are not installed',
      setup: "process.getuid = () => 0; process.env.PATH = '/nowhere'",
      reason: 'a node needs the Debian packages ',
    },
  ]) {
    test(title, { skip }, async () => {
      assert.ok((await reasonWith(setup)).startsWith(reason));
    });
  }
});

test('an archive has files, folders, links, modes and long paths, as tar reads them', async () => {
  const folder = await scratchFolder('tar');
  const file = join(folder, 'archive.tar');
  const long = `/${'deep/'.repeat(30)}file`;
  writeFileSync(join(folder, 'local'), 'from here');
  writeTar(file, [
    { path: '/tmp', folder: true, mode: 0o1777 },
    { path: '/bin/program', content: 'x'.repeat(513), mode: 0o755 },
    { path: '/bin/link', link: 'program' },
    { path: '/far', link: `/${'t'.repeat(120)}` },
    { path: '/local', from: join(folder, 'local') },
    { path: long, content: 'deep' },
  ]);
  const { stdout, stderr, code } = await output('tar', ['--list', '--verbose', '--numeric-owner', '--file', file]);
  assert.equal(code, 0, stderr);
  const listed = stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(\S+) 0\/0 +(\d+) \S+ \S+ /, '$1 $2 '));
  assert.deepEqual(listed, [
    'drwxrwxrwt 0 tmp/',
    '-rwxr-xr-x 513 bin/program',
    'lrwxrwxrwx 0 bin/link -> program',
    `lrwxrwxrwx 0 far -> /${'t'.repeat(120)}`,
    '-rw-r--r-- 9 local',
    `-rw-r--r-- 4 ${long.slice(1)}`,
  ]);
  const content = await output('tar', ['--extract', '--to-stdout', '--file', file, 'local', long.slice(1)]);
  assert.equal(content.stdout, 'from heredeep');
});

describe('an image of local files', { skip }, () => {
  let layer: readonly string[];
  before(async () => {
    const folder = await scratchFolder('image');
    mkdirSync(join(folder, 'tree/inner'), { recursive: true });
    writeFileSync(join(folder, 'tree/inner/file'), 'text', { mode: 0o600 });
    symlinkSync('inner/file', join(folder, 'tree/link'));
    const archive = join(folder, 'image.tar');
    await writeImage(archive, {
      name: 'localhost/test:1',
      files: { '/srv': { from: join(folder, 'tree') }, '/etc/passwd': { text: 'root:x:0:0::/:/bin/sh\n' } },
      programs: { '/bin/list': '/bin/ls' },
      user: '1000:1000',
    });
    const unpacked = join(folder, 'unpacked');
    mkdirSync(unpacked);
    const read = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await output('tar', args);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await read('--extract', '--directory', unpacked, '--file', archive);
    const json = async (path: string) => JSON.parse(await read('--extract', '--to-stdout', '--file', archive, path));
    const blob = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
    const { manifests } = await json('index.json');
    assert.equal(manifests[0].annotations['io.containerd.image.name'], 'localhost/test:1');
    const manifest = await json(blob(manifests[0].digest));
    const { config } = await json(blob(manifest.config.digest));
    assert.equal(config.User, '1000:1000');
    const listing = await read('--list', '--verbose', '--file', join(unpacked, blob(manifest.layers[0].digest)));
    layer = listing.split('\n').map((line) => line.replace(/^(\S+) \S+ +\d+ \S+ \S+ /, '$1 '));
  });

  test('keeps the modes and links of a folder', () => {
    for (const line of ['drwxr-xr-x srv/inner/', '-rw------- srv/inner/file', 'lrwxrwxrwx srv/link -> inner/file'])
      assert.ok(layer.includes(line), `${line} is not in\n${layer.join('\n')}`);
  });

  test('has the shared libraries of a program', () => {
    assert.ok(layer.includes('-rwxr-xr-x bin/list'));
    assert.ok(
      layer.some((line) => /libc\.so/.test(line)),
      layer.join('\n'),
    );
  });

  test('has every folder before its files', () => {
    const paths = layer.map((line) => line.split(' ')[1] ?? '').filter((path) => path !== '');
    for (const path of paths) {
      const parent = path.replace(/[^/]+\/?$/, '');
      if (parent !== '') assert.ok(paths.indexOf(parent) < paths.indexOf(path), path);
    }
  });
});
