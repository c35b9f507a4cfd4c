import { KubeError } from './kube-error.ts';
import type { KubeObject, ObjectMeta, Served } from './object.ts';

/**
 * The longest JSON of an object that is parsed as a whole, in characters. Objects that this program writes are much shorter. A
 * string of control characters takes ten times as long to parse as a string of letters.
 */
export const longestRead = 1024 * 1024;

/**
 * Parses the JSON of an object. With `skipsLarge`, it parses only the metadata of a large object. Throws `Malformed` if the text
 * is not an object.
 */
export function parseObject<T extends KubeObject>(text: string, what: string, skipsLarge: boolean): Served<T> {
  return !skipsLarge || text.length <= longestRead
    ? (parsed(text, what) as Served<T>)
    : (partial(text, 0, what) as Served<T>);
}

/** Parses a line of a watch like parseObject, with the type of the event. */
export function parseEventLine<T extends KubeObject>(
  line: string,
  what: string,
  skipsLarge: boolean,
): { type?: unknown; object?: Served<T> } {
  if (!skipsLarge || line.length <= longestRead) return parsed(line, what);
  const [type, object] = [valueOf(line, 0, 'type'), valueOf(line, 0, 'object')];
  if (type === undefined || object === undefined) throw malformed(what);
  // The type of an event has no escaped characters.
  return { type: line.slice(type + 1, endOf(line, type) - 1), object: partial(line, object, what) as Served<T> };
}

function parsed(text: string, what: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Omit the cause: the parser quotes the text.
  }
  throw malformed(what);
}

function partial(text: string, open: number, what: string): KubeObject {
  const metadata = valueOf(text, open, 'metadata');
  if (metadata === undefined) throw malformed(what);
  return { metadata: parsed(text.slice(metadata, endOf(text, metadata)), what) as ObjectMeta, isPartial: true };
}

const malformed = (what: string): KubeError => new KubeError('Malformed', `${what} is not a JSON object`);

const space = /\s*/y;
const brackets = /["{}[\]]/g;

/** The position of the value of a member of the object that begins at `open`. The text after the value is not checked. */
function valueOf(text: string, open: number, name: string): number | undefined {
  if (text[open] !== '{') return undefined;
  for (let at = afterSpace(text, open + 1); text[at] === '"'; ) {
    const keyEnd = endOfString(text, at);
    const colon = afterSpace(text, keyEnd);
    if (text[colon] !== ':') return undefined;
    const value = afterSpace(text, colon + 1);
    if (text.slice(at + 1, keyEnd - 1) === name) return value;
    const comma = afterSpace(text, endOf(text, value));
    if (text[comma] !== ',') return undefined;
    at = afterSpace(text, comma + 1);
  }
  return undefined;
}

/** The end of the value that begins at `at`. The JSON of the value is not checked. */
function endOf(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at);
  if (text[at] !== '{' && text[at] !== '[') {
    const end = text.slice(at, at + 64).search(/[,\]}\s]/);
    return end < 0 ? text.length : at + end;
  }
  let depth = 0;
  brackets.lastIndex = at;
  for (let found = brackets.exec(text); found !== null; found = brackets.exec(text)) {
    if (found[0] === '"') brackets.lastIndex = endOfString(text, found.index);
    else depth += found[0] === '{' || found[0] === '[' ? 1 : -1;
    if (depth === 0) return found.index + 1;
  }
  return text.length;
}

/** The position after the closing quote of the string that begins at `at`. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return end + 1;
  }
  return text.length;
}

function afterSpace(text: string, at: number): number {
  space.lastIndex = at;
  space.exec(text);
  return space.lastIndex;
}
