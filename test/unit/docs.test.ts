import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Metrics } from '../../src/telemetry/metrics.ts';
import { nothingToMirror } from '../support/metrics.ts';
import { section } from '../support/page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT });

for (const page of pages) {
  test(`${page}: every link leads to a file or a heading that exists`, () => {
    const prose = read(page).replaceAll(/^ *```[^]*?^ *```/gm, '');
    for (const [, target = ''] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      assert.ok(existsSync(join(ROOT, file)), `${target}: there is no ${file}`);
      if (anchor !== undefined) assert.ok(anchorsOf(file).includes(anchor), `${target}: ${file} has no such heading`);
    }
  });
}

const sources = globSync(['src/**/*.ts', 'test/**/*.ts', 'tools/**/*.ts', 'crds/*.yaml', 'deploy/**/*.yaml'], {
  cwd: ROOT,
});

/** A part of a path at its end, as pages name files. */
const isSource = (name: string): boolean => sources.some((file) => file === name || file.endsWith(`/${name}`));

for (const page of pages) {
  test(`${page}: every source file that it names exists`, () => {
    const named = [...read(page).matchAll(/`((?:[\w.-]+\/)*[\w.-]+\.ts)`/g)].map(([, name = '']) => name);
    assert.deepEqual(
      named.filter((name) => !isSource(name)),
      [],
    );
  });
}

const programs = globSync('test/support/peers/**/*.{go,py,rs,ts,java}', { cwd: ROOT }).map(read);
for (const [title, language] of Object.entries({
  Go: 'go',
  Python: 'python',
  rustls: 'rust',
  'Node.js': 'js',
  Java: 'java',
})) {
  test(`docs/stacks.md: the code for ${title} is that of the program that tests run`, () => {
    const blocks = section('docs/stacks.md', title).blocks(language);
    assert.ok(blocks.length > 0);
    for (const block of blocks)
      assert.ok(
        programs.some((text) => text.includes(block)),
        block,
      );
  });
}

test('the reference lists every metric that the operator serves, and no other', async () => {
  const metrics = new Metrics();
  metrics.mirror(nothingToMirror);
  const { body } = await metrics.expose();
  const served = [...[...body].join('').matchAll(/^# TYPE (mtls_operator_\w+)/gm)].map(([, name]) => name);
  const listed = [...read('docs/reference/metrics.md').matchAll(/^\| `(mtls_operator_\w+)`/gm)].map(([, name]) => name);
  assert.deepEqual(new Set(listed), new Set(served));
});

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
