import { spawnSync } from 'node:child_process';

/** A command of a page, as a reader types it, and the output that the page shows. */
export interface CommandStep {
  readonly kind: 'command';
  readonly line: number;
  readonly command: string;
  /** Lines that the page shows below the command; empty where it shows none. */
  readonly output: readonly string[];
}

/** A file that a page tells the reader to write: its name is the comment on the block's first line. */
export interface FileStep {
  readonly kind: 'file';
  readonly line: number;
  readonly name: string;
  readonly content: string;
}

export type Step = CommandStep | FileStep;

/** The steps below one heading, in their order. */
export interface StepSection {
  readonly heading: string;
  readonly steps: readonly Step[];
}

/** A code block of a page. */
export interface CodeBlock {
  /** The heading above it. */
  readonly heading: string;
  readonly language: string;
  /** The line of the fence. */
  readonly line: number;
  /** Without the indentation of the fence. */
  readonly lines: readonly string[];
}

const FENCE = /^( *)```(\w*)/;
const HEADING = /^#{1,6} (.+)$/;
const FILE_NAME = /^(?:#|\/\/|;|--) ([\w./-]+\.\w+)$/;
const PROMPT = '$ ';

/** The code blocks of a page, in their order. Throws for a block without an end. */
export function codeBlocks(markdown: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let heading = '';
  const lines = markdown.split('\n');
  for (let i = 0; i < lines.length; i += 1) {
    const text = lines[i] ?? '';
    heading = HEADING.exec(text)?.[1] ?? heading;
    const fence = FENCE.exec(text);
    if (fence === null) continue;
    const [, indent = '', language = ''] = fence;
    const end = lines.indexOf(`${indent}\`\`\``, i + 1);
    if (end === -1) throw new Error(`line ${i + 1}: the code block has no end`);
    const content = lines.slice(i + 1, end);
    const unindented = content.map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    blocks.push({ heading, language, line: i + 1, lines: unindented });
    i = end;
  }
  return blocks;
}

/**
 * The sections of a page that have commands or files. A `console` block holds commands after `$ ` and their output; a block
 * of another language is a file if its first line is a comment with a file name.
 */
export function stepSections(markdown: string): readonly StepSection[] {
  const sections: { heading: string; steps: Step[] }[] = [];
  for (const block of codeBlocks(markdown)) {
    const steps = stepsOf(block);
    if (steps.length > 0 && sections.at(-1)?.heading !== block.heading)
      sections.push({ heading: block.heading, steps: [] });
    sections.at(-1)?.steps.push(...steps);
  }
  return sections;
}

function stepsOf(block: CodeBlock): readonly Step[] {
  if (block.language === 'console') return commandsOf(block);
  const name = FILE_NAME.exec(block.lines[0] ?? '')?.[1];
  return name === undefined ? [] : [{ kind: 'file', line: block.line, name, content: `${block.lines.join('\n')}\n` }];
}

function commandsOf({ line, lines }: CodeBlock): readonly CommandStep[] {
  const steps: CommandStep[] = [];
  let next = 0;
  while (next < lines.length) {
    const first = lines[next] ?? '';
    if (!first.startsWith(PROMPT)) throw new Error(`line ${line + 1 + next}: output without a command`);
    const start = next;
    let command = first.slice(PROMPT.length);
    next += 1;
    while (next < lines.length && isIncomplete(command)) {
      command += `\n${lines[next]}`;
      next += 1;
    }
    const end = lines.findIndex((text, index) => index >= next && text.startsWith(PROMPT));
    const shown = lines.slice(next, end === -1 ? lines.length : end);
    next += shown.length;
    const output = shown.slice(0, shown.findLastIndex((text) => text !== '') + 1);
    steps.push({ kind: 'command', line: line + 1 + start, command, output });
  }
  return steps;
}

/** Whether bash waits for another line: a continuation, an open quote or bracket, a here-document without an end. */
function isIncomplete(command: string): boolean {
  if (command.endsWith('\\')) return true;
  const { stderr } = spawnSync('bash', ['-n'], {
    input: command,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  return /unexpected EOF|unexpected end of file|delimited by end-of-file/.test(stderr);
}

const ANY_LINES = '…';

/**
 * What a page shows as output, as a pattern for the whole output. Dates, ages and hexadecimal numbers of at least 16 digits
 * stand for any, `…` for any text, a line of only `…` for any lines, a blank for any number of blanks.
 */
export function outputPattern(lines: readonly string[]): RegExp {
  const shown = lines.map((line) =>
    line.trim() === ANY_LINES ? '[^]*' : line.trim().split(/\s+/).map(wordPattern).join('[ \\t]+'),
  );
  return new RegExp(`^${shown.join('\\s*\\n\\s*')}$`);
}

const VARIABLE: readonly (readonly [shown: RegExp, pattern: string])[] = [
  [/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z/, String.raw`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z`],
  [/\b(?:\d+[smhdy]){1,2}\b/, String.raw`(?:\d+[smhdy]){1,2}`],
  [/\b[0-9a-fA-F]{16,}\b/, '[0-9a-fA-F]+'],
  [/…/, '.*'],
];

function wordPattern(word: string): string {
  for (const [shown, pattern] of VARIABLE) {
    const found = shown.exec(word);
    if (found === null) continue;
    const [before, after] = [word.slice(0, found.index), word.slice(found.index + found[0].length)];
    return `${wordPattern(before)}${pattern}${wordPattern(after)}`;
  }
  return RegExp.escape(word);
}
