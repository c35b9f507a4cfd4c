import { KubeError } from './kube-error.ts';

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** What stands around the items of a list: kind, resourceVersion, continue token. */
const longestFrame = 1024 * 1024;

/** What a list says of itself. */
export interface ListFrame {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** Of a string, so many bytes are read one by one before the next quote is searched for. */
const steps = 32;

/**
 * Cuts the JSON of a list into its items while it arrives. It reads the bytes once, as far as it must to know where an
 * item begins and ends, and never holds more than one item that is not complete.
 */
export class ListSplitter {
  /** The text of everything but the items. */
  #frame = '';
  /** What has arrived of an item. */
  #parts: Buffer[] = [];
  #depth = 0;
  #inItems = false;
  #inString = false;
  #escaped = false;
  /** In the chunk. */
  #nextBackslash = -1;

  /** The texts of the items that this chunk completes. Throws `Malformed` for items that are no objects. */
  *cut(chunk: Buffer): Generator<string, void, undefined> {
    const { length } = chunk;
    this.#nextBackslash = -1;
    let index = 0;
    /** Where what has not been put anywhere yet begins. */
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
            this.#frameGets(chunk, from, index - 1);
            from = index - 1;
          } else if (byte === openBracket && this.#depth === 1) {
            this.#frameGets(chunk, from, index);
            from = index;
            this.#inItems = /[{,]\s*"items"\s*:\s*\[$/.test(this.#frame);
          }
          this.#depth += 1;
          break;
        case closeBrace:
        case closeBracket:
          this.#depth -= 1;
          if (this.#isItem) {
            yield this.#itemTo(chunk, from, index);
            from = index;
          } else if (this.#depth === 1) this.#inItems = false;
          break;
        case comma:
          // Between items.
          if (this.#isItem) {
            this.#frameGets(chunk, from, index - 1);
            from = index;
          }
          break;
        default:
      }
    }
    if (this.#inItems && this.#depth > 2) this.#parts.push(chunk.subarray(from));
    else this.#frameGets(chunk, from, length);
  }

  /** The list without its items. Throws `Malformed` when it is not whole, or has an item that is no object. */
  end(): ListFrame {
    try {
      const frame: unknown = JSON.parse(this.#frame);
      if (isFrame(frame)) return frame;
    } catch {
      // No cause: the parser quotes the text.
    }
    throw malformed();
  }

  /** Where the string ends that goes on at `index`: behind its quote, or where the chunk ends. */
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
        // A long string: to its next quote in one go, if nothing is escaped before.
        if (this.#nextBackslash < at) this.#nextBackslash = endOr(chunk.indexOf(backslash, at), length);
        at = Math.min(endOr(chunk.indexOf(quote, at), length), this.#nextBackslash);
      }
    }
    this.#escaped = at > length;
    return at;
  }

  /** Directly in the array of the items. */
  get #isItem(): boolean {
    return this.#inItems && this.#depth === 2;
  }

  #frameGets(chunk: Buffer, from: number, to: number): void {
    if (from >= to) return;
    // Names and values in it are ASCII.
    this.#frame += chunk.toString('latin1', from, to);
    if (this.#frame.length > longestFrame) throw malformed();
  }

  #itemTo(chunk: Buffer, from: number, to: number): string {
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
