import { StringDecoder } from 'node:string_decoder';
import { KubeError, type Status, statusError } from './kube-error.ts';
import type { KubeObject, Served } from './object.ts';
import { parseEventLine } from './parse-object.ts';

/**
 * A change of an object, or a bookmark. After a bookmark, the watch sends only events with a greater resourceVersion. `isAll` marks
 * the bookmark at the end of the initial events.
 */
export type WatchEvent<T extends KubeObject> =
  /** `size` is the length of the JSON, in characters. */
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Served<T>; readonly size: number }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly isAll?: true };

/** The annotation of the bookmark at the end of the initial events (KEP-3157). */
const endOfInitialEvents = 'k8s.io/initial-events-end';

/**
 * Parses the body of a watch, one JSON document per line. Throws the KubeError of an ERROR event. Throws `Malformed` for a line
 * that is not an event: skipping an event would leave the cache wrong until the next list.
 */
export async function* readWatch<T extends KubeObject>(
  body: AsyncIterable<Buffer>,
  onData: () => void,
  skipsLarge = false,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of body) {
    onData();
    const lines = decoder.write(chunk).split('\n');
    lines[0] = rest + (lines[0] ?? '');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield parseEvent<T>(line, skipsLarge);
  }
  if (rest.trim() !== '') yield parseEvent<T>(rest, skipsLarge);
}

function parseEvent<T extends KubeObject>(line: string, skipsLarge: boolean): WatchEvent<T> {
  const { type, object } = parseEventLine<T>(line, 'a line of the watch', skipsLarge);
  if (type === 'ERROR') {
    const status = (object ?? {}) as Status;
    throw statusError(status.code ?? 500, status, { write: false });
  }
  const resourceVersion = object?.metadata?.resourceVersion;
  if (object === undefined || !resourceVersion)
    throw new KubeError('Malformed', 'a watch event has no resourceVersion');
  switch (type) {
    case 'BOOKMARK':
      return {
        type,
        resourceVersion,
        ...(object.metadata.annotations?.[endOfInitialEvents] === 'true' && { isAll: true }),
      };
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object, size: line.length };
    default:
      throw new KubeError('Malformed', 'a watch event has an unknown type');
  }
}
