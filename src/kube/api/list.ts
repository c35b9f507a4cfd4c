import { KubeError } from './kube-error.ts';
import { ListSplitter } from './list-splitter.ts';
import type { KubeObject, Served } from './object.ts';
import { parseObject } from './parse-object.ts';

/** Some objects of a listing, in its order: so many that they take a few MiB. */
export interface ListPart<T extends KubeObject> {
  readonly items: readonly Served<T>[];
  /** Of the whole collection. Some lists say it at their end: then only the last part of a page has it. */
  readonly resourceVersion?: string | undefined;
}

/** The last part of a page. */
export interface LastPart<T extends KubeObject> extends ListPart<T> {
  readonly isLast: true;
  readonly resourceVersion: string;
  /** Where the next page begins; none on the last one. */
  readonly continueToken: string | undefined;
}

/** What one part holds at most, in bytes of JSON and in objects; a single object may be larger. */
export interface PartLimits {
  readonly bytes: number;
  readonly items: number;
}

export const partLimits: PartLimits = { bytes: 4 * 1024 * 1024, items: 500 };

/**
 * The objects of a list while its body arrives. The body is read on when the caller comes back for more: in memory there is
 * one part, and what has arrived of the next object. Throws `Malformed`.
 */
export async function* readList<T extends KubeObject>(
  body: AsyncIterable<Buffer>,
  onData: () => void,
  limits: PartLimits = partLimits,
  skipsLarge = false,
): AsyncGenerator<ListPart<T> | LastPart<T>, void, undefined> {
  const cutter = new ListSplitter();
  let items: Served<T>[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    onData();
    for (const text of cutter.cut(chunk)) {
      if (bytes >= limits.bytes || items.length >= limits.items) {
        const part = items;
        [items, bytes] = [[], 0];
        yield { items: part };
      }
      items.push(parseItem<T>(text, skipsLarge));
      bytes += text.length;
    }
  }
  const { resourceVersion, continue: continueToken } = cutter.end().metadata ?? {};
  if (!resourceVersion) throw new KubeError('Malformed', 'a list has no resourceVersion');
  yield { items, isLast: true, resourceVersion, continueToken: continueToken || undefined };
}

function parseItem<T extends KubeObject>(text: string, skipsLarge: boolean): Served<T> {
  const item = parseObject<T>(text, 'an item of a list', skipsLarge);
  if ('metadata' in item) return item;
  throw new KubeError('Malformed', 'an item of a list has no metadata');
}
