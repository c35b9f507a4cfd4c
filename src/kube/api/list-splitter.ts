import { KubeError } from './kube-error.ts';

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** The maximum length of a list without its items: kind, resourceVersion and continue token. */
const longestFrame = 1024 * 1024;

/** A list without its items. */
export interface ListFrame {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** Most strings are short, so the first bytes of a string are read one by one before a search for the next quote. */
const steps = 32;

/**
 * Splits the JSON of a list into its items while it arrives. It scans each byte once to find where items begin and end, and holds
 * at most one incomplete item.
 */
export class ListSplitter {
  /** The text of the list without its items. */
  #frame = '';
  /** The beginning of an incomplete item. */
  #parts: Buffer[] = [];
  #depth = 0;
  #inItems = false;
  #inString = false;
  #escaped = false;
  /** The position of the next backslash in the chunk. */
  #nextBackslash = -1;

  /** The texts of the items that this chunk completes. Throws `Malformed` for an item that is not an object. */
  *cut(chunk: Buffer): Generator<string, void, undefined> {
    const { length } = chunk;
    this.#nextBackslash = -1;
    let index = 0;
    /** The bytes before this position already belong to the frame or to an item. */
    let from = 0;
    if (this.#escaped && length > 0) {
      this.#escaped = false;
      index = 1;
    }
    while (index < length) {
      if (this.#inString) {
        index = this.#afterString(chunk, index);
        continue;
      }
      const byte = chunk[index];
      index += 1;
      switch (byte) {
        case quote:
          this.#inString = true;
          break;
        case openBrace:
        case openBracket:
          if (this.#isItem) {
            if (byte === openBracket) throw malformed();
            this.#addToFrame(chunk, from, index - 1);
            from = index - 1;
          } else if (byte === openBracket && this.#depth === 1) {
            this.#addToFrame(chunk, from, index);
            from = index;
            this.#inItems = /[{,]\s*"items"\s*:\s*\[$/.test(this.#frame);
          }
          this.#depth += 1;
          break;
        case closeBrace:
        case closeBracket:
          this.#depth -= 1;
          if (this.#isItem) {
            yield this.#completeItem(chunk, from, index);
            from = index;
          } else if (this.#depth === 1) this.#inItems = false;
          break;
        case comma:
          // A comma between items belongs to the frame.
          if (this.#isItem) {
            this.#addToFrame(chunk, from, index - 1);
            from = index;
          }
          break;
        default:
      }
    }
    if (this.#inItems && this.#depth > 2) this.#parts.push(chunk.subarray(from));
    else this.#addToFrame(chunk, from, length);
  }

  /** The list without its items. Throws `Malformed` if the list is incomplete or has an item that is not an object. */
  end(): ListFrame {
    try {
      const frame: unknown = JSON.parse(this.#frame);
      if (isFrame(frame)) return frame;
    } catch {
      // Omit the cause: the parser quotes the text.
    }
    throw malformed();
  }

  /** The position after the closing quote of the string that contains `index`, or the end of the chunk. */
  #afterString(chunk: Buffer, index: number): number {
    const { length } = chunk;
    let at = index;
    let near = at + steps;
    while (at < length) {
      const byte = chunk[at];
      if (byte === quote) {
        this.#inString = false;
        return at + 1;
      }
      if (byte === backslash) {
        at += 2;
        near = at + steps;
      } else if (at < near) at += 1;
      else {
        // In a long string, continue at the next quote or backslash.
        if (this.#nextBackslash < at) this.#nextBackslash = endOr(chunk.indexOf(backslash, at), length);
        at = Math.min(endOr(chunk.indexOf(quote, at), length), this.#nextBackslash);
      }
    }
    this.#escaped = at > length;
    return at;
  }

  /** True directly in the array of the items, between items. */
  get #isItem(): boolean {
    return this.#inItems && this.#depth === 2;
  }

  #addToFrame(chunk: Buffer, from: number, to: number): void {
    if (from >= to) return;
    // The names and values in the frame are ASCII.
    this.#frame += chunk.toString('latin1', from, to);
    if (this.#frame.length > longestFrame) throw malformed();
  }

  #completeItem(chunk: Buffer, from: number, to: number): string {
    if (this.#parts.length === 0) return chunk.toString('utf8', from, to);
    this.#parts.push(chunk.subarray(from, to));
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    return bytes.toString();
  }
}

const isFrame = (value: unknown): value is ListFrame => {
  if (typeof value !== 'object' || value === null) return false;
  const { items } = value as { readonly items?: unknown };
  return items === undefined || items === null || (Array.isArray(items) && items.length === 0);
};

const endOr = (index: number, length: number): number => (index < 0 ? length : index);

const malformed = (): KubeError => new KubeError('Malformed', 'the answer is not a list of objects in JSON');
