import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { anchorsOf, linksOf } from '../support/docs/links.ts';

describe('the links of a page', () => {
  const files = (markdown: string): string[] => linksOf('docs/how-to/page.md', markdown).map(({ file }) => file);

  test('are resolved from the folder of the page', () => {
    assert.deepEqual(files('[a](b.md) [c](../README.md) [d](../design/)'), [
      'docs/how-to/b.md',
      'docs/README.md',
      'docs/design',
    ]);
  });

  test('include headings of the page itself and images inside a link', () => {
    assert.deepEqual(files('[a](#b) [![alt](../images/x.svg)](c.md)'), [
      'docs/how-to/page.md',
      'docs/how-to/c.md',
      'docs/images/x.svg',
    ]);
  });

  test('include neither other sites nor code', () => {
    assert.deepEqual(files('[a](https://example.com) `[b](c.md)`\n```sh\n[d](e.md)\n```\n'), []);
  });
});

describe('the anchors of a page', () => {
  test('are those of GitHub', () => {
    assert.deepEqual(anchorsOf('# What’s `tls.crt`?\n## A [link](b.md), twice\n## A link, twice\n'), [
      'whats-tlscrt',
      'a-link-twice',
      'a-link-twice-1',
    ]);
  });

  test('do not come from comments in code', () => {
    assert.deepEqual(anchorsOf('```yaml\n# payments.yaml\n```\n'), []);
  });
});
