import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildOperator } from '../build.ts';
import { productionPackages } from '../image/local-bases.ts';
import type { ImageFile, ImageSpec } from '../node/node.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const NODE = { '/nodejs/bin/node': process.execPath };

/** The operator, compiled, with the layout of the Dockerfile. */
export async function operatorImage(): Promise<ImageSpec> {
  await buildOperator();
  const copied = ['dist', 'package.json', ...productionPackages()];
  const files = copied.map((path): [string, ImageFile] => [`/app/${path}`, { from: join(ROOT, path) }]);
  return {
    name: 'localhost/mtls-operator:demo',
    programs: NODE,
    files: Object.fromEntries(files),
    entrypoint: ['/nodejs/bin/node', '--import', '/app/dist/stop-signal.js', '/app/dist/main.js'],
    env: { NODE_ENV: 'production', UV_THREADPOOL_SIZE: '32', MALLOC_MMAP_THRESHOLD_: '32768' },
    user: '65532:65532',
    workingDir: '/app',
  };
}

/** The server and the client of the demo. */
export function programImage(): ImageSpec {
  const copied = ['package.json', ...['server', 'client', 'identity'].map((name) => `tools/demo/${name}.ts`)];
  const files = copied.map((path): [string, ImageFile] => [`/app/${path}`, { from: join(ROOT, path) }]);
  return {
    name: 'localhost/demo:1',
    programs: NODE,
    files: Object.fromEntries(files),
    entrypoint: ['/nodejs/bin/node'],
    user: '65532:65532',
    workingDir: '/app/tools/demo',
  };
}
