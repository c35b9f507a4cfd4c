import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Metrics } from '../../src/telemetry/metrics.ts';
import { anchorsOf, linksOf } from '../support/docs/links.ts';
import { mirrorOf } from '../support/metrics.ts';
import { wholePage } from '../support/page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT });

const isThere = (file: string): boolean => existsSync(join(ROOT, file));
const isPage = (file: string): boolean => file.endsWith('.md');

for (const page of pages) {
  test(`${page} links to files and headings that exist, and describes its images`, () => {
    for (const { target, file, anchor, isImage, text } of linksOf(page, read(page))) {
      assert.ok(isThere(file), `${target}: there is no ${file}`);
      if (anchor !== undefined && isPage(file))
        assert.ok(anchorsOf(read(file)).includes(anchor), `${target}: ${file} has no heading with this anchor`);
      if (isImage) assert.ok(text.trim() !== '', `${target}: the image has no alternative text`);
    }
  });
}

test('a reader who starts at docs/README.md reaches every page of the documents', () => {
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file) || !isThere(file)) return;
    reached.add(file);
    if (isPage(file)) for (const link of linksOf(file, read(file))) visit(link.file);
  };
  visit('docs/README.md');
  const isReached = (page: string): boolean => reached.has(page) || reached.has(dirname(page));
  assert.deepEqual(
    pages.filter((page) => page.startsWith('docs/') && !isReached(page)),
    [],
  );
});

test('a page shows every picture, and a picture has a title and a description', () => {
  const shown = new Set(pages.flatMap((page) => linksOf(page, read(page)).map(({ file }) => file)));
  for (const picture of globSync('docs/images/*', { cwd: ROOT })) {
    assert.ok(shown.has(picture), `no page shows ${picture}`);
    assert.match(
      read(picture),
      /^<svg [^>]*role="img" aria-labelledby="title desc">\s*<title id="title">.+<\/title>\s*<desc id="desc">.+<\/desc>/,
    );
  }
});

/** Pages whose commands no test follows, and why. */
const NOT_FOLLOWED: Readonly<Record<string, string>> = {
  'docs/reference/performance.md': 'a benchmark runs for hours',
};

test('a test follows every page with commands', () => {
  const tests = globSync('test/{integration,e2e}/**/*.test.ts', { cwd: ROOT }).map(read).join('\n');
  const isFollowed = (page: string): boolean => {
    const stack = /^docs\/how-to\/stacks\/(\w+)\.md$/.exec(page)?.[1];
    return stack === undefined
      ? tests.includes(`runPage('${page}'`)
      : tests.includes('runPage(`docs/how-to/stacks/') && new RegExp(`\\b${stack}\\b`).test(tests);
  };
  const withCommands = pages
    .filter((page) => page === 'README.md' || page.startsWith('docs/'))
    .filter((page) => /^ *```console$/m.test(read(page)));
  assert.deepEqual(
    withCommands.filter((page) => !isFollowed(page) && !(page in NOT_FOLLOWED)),
    [],
  );
});

test('the README has at most 150 lines', () => {
  assert.ok(read('README.md').trimEnd().split('\n').length <= 150);
});

test('the picture of the demo shows every step of the demo', () => {
  const picture = read('docs/images/demo.svg');
  const steps = [...read('tools/demo/story.ts').matchAll(/screen\.step\('([^']+)'\)/g)].map(([, title = '']) => title);
  assert.ok(steps.length >= 7);
  const missing = steps.filter((title) => !picture.includes(title));
  assert.deepEqual(missing, [], 'record it again: node tools/run.mjs tools/recording.ts');
});

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
for (const [name, language] of Object.entries({
  go: 'go',
  python: 'python',
  rust: 'rust',
  nodejs: 'js',
  java: 'java',
})) {
  test(`docs/how-to/stacks/${name}.md shows code of the program that tests run`, () => {
    const blocks = wholePage(`docs/how-to/stacks/${name}.md`).blocks(language);
    assert.ok(blocks.length > 0);
    for (const block of blocks)
      assert.ok(
        programs.some((text) => text.includes(block)),
        block,
      );
  });
}

test('the reference lists every metric that the operator serves except those of Node.js, and no other', async () => {
  const metrics = new Metrics({ version: '1', perCertificate: true });
  metrics.mirror(mirrorOf([{ labels: [], value: 1 }]));
  const { body } = await metrics.expose();
  const served = [...[...body].join('').matchAll(/^# TYPE (?!nodejs_|process_)(\w+)/gm)].map(([, name]) => name);
  const listed = [...read('docs/reference/metrics.md').matchAll(/^\| `(\w+)` \| (?:gauge|counter|histogram) \|/gm)].map(
    ([, name]) => name,
  );
  assert.ok(served.includes('workqueue_depth') && served.includes('mtls_operator_build_info'));
  assert.deepEqual(new Set(listed), new Set(served));
});
