import { stripVTControlCharacters } from 'node:util';

/** A line of a program's output, with the escape sequences of its colours. */
export interface TerminalLine {
  /** Milliseconds after the start of the program. */
  readonly atMs: number;
  readonly text: string;
}

export interface TerminalRecording {
  readonly title: string;
  readonly description: string;
  /** The command, as a person types it. */
  readonly command: string;
  readonly lines: readonly TerminalLine[];
}

const rows = 25;
const columns = 101;
const lineHeight = 20;
const fontSize = 14;
/** A monospace font is 0.6 em wide, or a little more. */
const width = Math.ceil(columns * fontSize * 0.605) + 40;
const top = 52;
const height = top + rows * lineHeight + 20;

/** A longer wait is cut to this. */
const longestPauseMs = 1500;
/** Time to read one part before the next, which begins with an empty line. */
const readingMs = 1300;

/**
 * The recording as an SVG that plays once and then shows its last rows. It begins with the command and the first part
 * of the output, because some viewers show the first frame only. Where animations are unwanted or unsupported, it shows
 * the last rows at once.
 */
export function terminalSvg({ title, description, command, lines }: TerminalRecording): string {
  const shown = [{ text: `\u001b[36m$ ${command}\u001b[39m`, atMs: 0 }, ...lines];
  const times = showTimes(lines);
  const endMs = (times.at(-1) ?? 0) + 1;
  const frames = (offset: (count: number) => number): string => {
    const offsets = new Map(times.map((atMs, index) => [percent(atMs / endMs), offset(index + 1)]));
    return [...offsets].map(([at, y]) => `${at} { transform: translateY(${y}px); }`).join('\n      ');
  };
  const scrolled = (count: number): number => -Math.max(0, count - rows) * lineHeight;
  const covered = (count: number): number => count * lineHeight;
  const text = shown
    .map(
      ({ text }, index) =>
        `<text xml:space="preserve" x="20" y="${(index + 1) * lineHeight - 5}">${spans(text)}</text>`,
    )
    .join('\n      ');
  const body = top + rows * lineHeight;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">
  <title id="title">${escaped(title)}</title>
  <desc id="desc">${escaped(description)}</desc>
  <style>
    text { font: ${fontSize}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #e6edf3; white-space: pre; }
    .bold { font-weight: bold; }
    .red { fill: #ff7b72; }
    .green { fill: #56d364; }
    .yellow { fill: #e3b341; }
    .cyan { fill: #79c0ff; }
    .scroll { animation: scroll ${endMs}ms step-end both; }
    .cover { animation: cover ${endMs}ms step-end both; }
    @keyframes scroll {
      ${frames(scrolled)}
    }
    @keyframes cover {
      ${frames(covered)}
    }
    @media print, (prefers-reduced-motion: reduce) { .scroll, .cover { animation: none; } }
  </style>
  <clipPath id="window"><rect width="${width}" height="${body - top}" y="${top}"/></clipPath>
  <rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="#0d1117" stroke="#6e7681"/>
  <circle cx="24" cy="24" r="6" fill="#ff5f57"/><circle cx="44" cy="24" r="6" fill="#febc2e"/><circle cx="64" cy="24" r="6" fill="#28c840"/>
  <g clip-path="url(#window)"><g transform="translate(0 ${top})"><g class="scroll" transform="translate(0 ${scrolled(shown.length)})">
      ${text}
      <rect class="cover" transform="translate(0 ${covered(shown.length)})" x="1" width="${width - 2}" height="${shown.length * lineHeight}" fill="#0d1117"/>
  </g></g></g>
</svg>
`;
}

/**
 * When each line appears, the command first: at its real pace, without long waits, and with time to read each part. The
 * title and the first part are there from the start: the lines before the second empty line.
 */
function showTimes(lines: readonly TerminalLine[]): number[] {
  const times = [0];
  let now = 0;
  let emptyLines = 0;
  for (const [index, { atMs, text }] of lines.entries()) {
    if (isEmpty(text)) emptyLines += 1;
    if (emptyLines > 1) {
      now += Math.min(atMs - (lines[index - 1]?.atMs ?? 0), longestPauseMs);
      if (isEmpty(text)) now += readingMs;
    }
    times.push(Math.round(now));
  }
  return times;
}

const isEmpty = (text: string): boolean => stripVTControlCharacters(text).trim() === '';

const percent = (share: number): string => `${(share * 100).toFixed(3)}%`;

const classes: Readonly<Record<string, string>> = { 1: 'bold', 31: 'red', 32: 'green', 33: 'yellow', 36: 'cyan' };

const escapeSequence = new RegExp(String.raw`\u001b\[(\d+)m`);

/** The text between the escape sequences, each in the colour that the sequence before it selects. */
function spans(text: string): string {
  const [first = '', ...rest] = text.split(escapeSequence);
  let result = escaped(first);
  for (let index = 0; index < rest.length; index += 2) {
    const [code = '', part = ''] = rest.slice(index, index + 2);
    if (part === '') continue;
    const name = classes[code];
    result += name === undefined ? escaped(part) : `<tspan class="${name}">${escaped(part)}</tspan>`;
  }
  return result;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
