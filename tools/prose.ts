/**
 * The turns of phrase that are not written in this repository, and what to write instead: a step of `npm run check`. It is a net for habits that come
 * back; CONTRIBUTING.md says how the prose should read.
 *
 * `node tools/prose.ts [FILE or FOLDER]...` lists them in some files only.
 */

import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Each turn, and what a reader understands at once. Blanks stand for any white space, also the start of a comment's next line. */
const TURNS: Readonly<Record<string, string>> = {
  anew: 'again',
  "(?:no|some)body(?:’s|'s)?": 'name the person or the program: no client, another client, a user',
  'whoever|whomever': 'name the person or the program',
  '(?:is|are|was|were|be|what is) of (?:it|its|them|that|this|the (?:old|new|other|same)|an? (?:old|new|other)|another)':
    'issued by, belongs to',
  'look(?:s|ed|ing)? at': 'reads, checks, examines',
  '(?:is|are|was|were|be|been|being) told': 'is reported, is configured, learns',
  '(?:go|goes|going|went|gone) on': 'continues, is still',
  'in the making': 'being generated, in progress',
  '(?:hold|holds|held|holding) back': 'delays, delayed',
  '(?:write|writes|written|wrote|writing) (?:it )?over': 'overwrites, overwritten',
  beside: 'next to, besides, in addition to',
  '(?:no|any) such thing': 'name the thing',
  '(?:mend|mends|mended|mending)': 'fixed, repaired',
  '(?:belong|belongs|belonging) into': 'belongs in',
  '(?:as|than|what) (?:it|they) (?:is|are|was|were) to be': 'the desired state, the requested value',
  'in the end': 'finally, after (name the moment)',
  'all the same': 'anyway, still',
  'what there is|what is there': 'name the things',
  'that it exists included': 'its existence too',
};

const SEPARATOR = String.raw`(?:\s|\n\s*(?:\*|//|#)\s)+`;

const PATTERNS = Object.entries(TURNS).map(([turn, instead]) => ({
  pattern: new RegExp(String.raw`(?<![\w-])(?:${turn.replaceAll(' ', SEPARATOR)})(?![\w-])`, 'gi'),
  instead,
}));

const FILES = ['*.md', '{.github,crds,deploy,docs,src,test,tools}/**/*.{ts,mjs,md,yaml,yml,txt,go,rs,py,java,sh}'];

/** This file and its test name the turns. */
const EXEMPT = new Set(['tools/prose.ts', 'test/unit/prose.test.ts', 'src/api/types.ts']);

/** The turns in a text: line and words of each, and what to write instead. */
export function turnsIn(text: string): string[] {
  return PATTERNS.flatMap(({ pattern, instead }) =>
    [...text.matchAll(pattern)].map(({ index, 0: words }) => {
      const line = text.slice(0, index).split('\n').length;
      return { line, finding: `${line}: "${words.replaceAll(/\s+/g, ' ')}": ${instead}` };
    }),
  )
    .sort((a, b) => a.line - b.line)
    .map(({ finding }) => finding);
}

/** The turns in the repository, or in some files and folders of it: file, line, words, and what to write instead. */
export function proseProblems(places: readonly string[] = []): string[] {
  const isChosen = (file: string): boolean =>
    places.length === 0 || places.some((place) => file === place || file.startsWith(`${place.replace(/\/$/, '')}/`));
  return globSync(FILES, { cwd: ROOT })
    .filter((file) => isChosen(file) && !EXEMPT.has(file) && statSync(join(ROOT, file)).isFile())
    .sort()
    .flatMap((file) => turnsIn(readFileSync(join(ROOT, file), 'utf8')).map((finding) => `${file}:${finding}`));
}

if (import.meta.main) {
  const problems = proseProblems(process.argv.slice(2));
  process.stdout.write([...problems, `${problems.length} found`, ''].join('\n'));
  process.exitCode = problems.length === 0 ? 0 : 1;
}
