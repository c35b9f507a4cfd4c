import { KubeError } from './kube-error.ts';
import { ListSplitter } from './list-splitter.ts';
import type { KubeObject, Served } from './object.ts';
import { parseObject } from './parse-object.ts';

/** Consecutive objects of a list, a few MiB of JSON. */
export interface ListPart<T extends KubeObject> {
  readonly items: readonly Served<T>[];
  /** The resourceVersion of the collection. In some lists it follows the items, so only the last part of a page has it. */
  readonly resourceVersion?: string | undefined;
}

/** The last part of a page. */
export interface LastPart<T extends KubeObject> extends ListPart<T> {
  readonly isLast: true;
  readonly resourceVersion: string;
  /** Requests the next page; undefined on the last page. */
  readonly continueToken: string | undefined;
}

/** The largest part, in bytes of JSON and in objects. A single object may be larger. */
export interface PartLimits {
  readonly bytes: number;
  readonly items: number;
}

export const partLimits: PartLimits = { bytes: 4 * 1024 * 1024, items: 500 };

/**
 * Parses the objects of a list while its body arrives. It reads the body further only when the caller asks for the next part, so
 * only one part and the beginning of the next object are in memory. Throws `Malformed`.
 */
export async function* readList<T extends KubeObject>(
  body: AsyncIterable<Buffer>,
  onData: () => void,
  limits: PartLimits = partLimits,
  skipsLarge = false,
): AsyncGenerator<ListPart<T> | LastPart<T>, void, undefined> {
  const splitter = new ListSplitter();
  let items: Served<T>[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    onData();
    for (const text of splitter.cut(chunk)) {
      if (bytes >= limits.bytes || items.length >= limits.items) {
        const part = items;
        [items, bytes] = [[], 0];
        yield { items: part };
      }
      items.push(parseItem<T>(text, skipsLarge));
      bytes += text.length;
    }
  }
  const { resourceVersion, continue: continueToken } = splitter.end().metadata ?? {};
  if (!resourceVersion) throw new KubeError('Malformed', 'a list has no resourceVersion');
  yield { items, isLast: true, resourceVersion, continueToken: continueToken || undefined };
}

function parseItem<T extends KubeObject>(text: string, skipsLarge: boolean): Served<T> {
  const item = parseObject<T>(text, 'an item of a list', skipsLarge);
  if ('metadata' in item) return item;
  throw new KubeError('Malformed', 'an item of a list has no metadata');
}
