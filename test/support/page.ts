import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { codeBlocks, stepSections } from './docs/steps.ts';

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
  const steps = stepSections(text).flatMap((section) => section.steps);
  const commands = steps.flatMap((step) => (step.kind === 'command' ? [step.command] : []));
  return {
    commands,
    command(program) {
      const found = commands.find((command) => command.startsWith(`${program} `));
      assert.ok(found !== undefined, `${name} has no command ${program}`);
      return found;
    },
    blocks: (language) =>
      codeBlocks(text)
        .filter((block) => block.language === language)
        .map(({ lines }) => `${lines.join('\n')}\n`),
    file(fileName) {
      const found = steps.find((step) => step.kind === 'file' && step.name === fileName);
      assert.ok(found?.kind === 'file', `${name} has no block that begins with "# ${fileName}"`);
      return found.content;
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
