import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { stepSections } from './docs/steps.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What a test takes from a page of the documentation, so that the test runs what the page says. */
export interface Page {
  /** The commands in its console blocks, in their order. */
  readonly commands: readonly string[];
  /** The command that begins with this program. Throws if there is none. */
  command(program: string): string;
  /** Its code blocks in a language, in their order. */
  blocks(language: string): readonly string[];
  /** The block whose first line is a comment with this name. Throws if there is none. */
  file(name: string): string;
}

/** A page of the documentation. */
export const wholePage = (page: string): Page => pageOf(page, readFileSync(join(ROOT, page), 'utf8'));

function pageOf(name: string, text: string): Page {
  const all = [...text.matchAll(/^( *)```(\w*)\n([^]*?)^\1```/gm)].map(
    ([, indent = '', language = '', block = '']) => ({
      language,
      block: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
  const commands = stepSections(text)
    .flatMap(({ steps }) => steps)
    .flatMap((step) => (step.kind === 'command' ? [step.command] : []));
  return {
    commands,
    command(program) {
      const found = commands.find((command) => command.startsWith(`${program} `));
      assert.ok(found !== undefined, `${name} has no command ${program}`);
      return found;
    },
    blocks: (language) => all.filter((one) => one.language === language).map(({ block }) => block),
    file(fileName) {
      const found = all.find(({ block }) => /^(?:#|\/\/|--) (.*)/.exec(block)?.[1] === fileName);
      assert.ok(found !== undefined, `${name} has no block that begins with "# ${fileName}"`);
      return found.block;
    },
  };
}

/** The text with placeholders replaced by these values, everywhere. Throws for a placeholder that the text does not have. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filling, [placeholder, value]) => {
    assert.ok(filling.includes(placeholder), `there is no ${placeholder} in:\n${text}`);
    return filling.replaceAll(placeholder, value);
  }, text);
}
