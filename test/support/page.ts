import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** A section of a documentation page. Tests run its commands and manifests. */
export interface Section {
  /** The commands in its console blocks, in order. */
  readonly commands: readonly string[];
  /** Its code blocks in this language, in order. */
  blocks(language: string): readonly string[];
  /** The block whose first line is a comment with this file name. Throws if there is none. */
  file(name: string): string;
}

/** The section below this second-level heading. Throws if the page has none. */
export function section(page: string, title: string): Section {
  const text = readFileSync(join(ROOT, page), 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith(`${title}\n`));
  assert.ok(text !== undefined, `${page} has no section "${title}"`);
  const all = [...text.matchAll(/^( *)```(\w*)\n([^]*?)^\1```/gm)].map(
    ([, indent = '', language = '', block = '']) => ({
      language,
      block: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
  const blocks = (language: string): string[] =>
    all.filter((entry) => entry.language === language).map(({ block }) => block);
  return {
    blocks,
    commands: blocks('console').flatMap((block) => block.split(/^\$ /m).filter((command) => command !== '')),
    file(name) {
      const found = all.find(({ block }) => /^(?:#|\/\/) (.*)/.exec(block)?.[1] === name);
      assert.ok(found !== undefined, `${page}, section "${title}", has no block that begins with "# ${name}"`);
      return found.block;
    },
  };
}

/** The text with its placeholders replaced by values. Throws if a placeholder is not in the text. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filling, [place, value]) => {
    assert.ok(filling.includes(place), `there is no ${place} in:\n${text}`);
    return filling.replaceAll(place, value);
  }, text);
}
