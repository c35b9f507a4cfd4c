import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readWatch } from '../../../../src/kube/api/watch-stream.ts';
import { isKubeError, type KubeErrorCode, type WatchEvent } from '../../../../src/kube/index.ts';
import * as fc from '../../../support/properties.ts';
import { serve } from './fault-server.ts';
import { bookmark, event, type Widget, widget, widgets } from './widgets.ts';

async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
  for (const [index, place] of places.slice(1).entries()) yield bytes.subarray(places[index], place);
}

async function read(body: AsyncIterable<Buffer>): Promise<WatchEvent<Widget>[]> {
  const events: WatchEvent<Widget>[] = [];
  for await (const event of readWatch<Widget>(body, () => {})) events.push(event);
  return events;
}

test('events are parsed correctly for any chunks of the stream', async () => {
  const label = fc.string({ unit: 'grapheme' });
  const types = fc.constantFrom('ADDED', 'MODIFIED', 'DELETED');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(types, label), { minLength: 1 }), fc.array(fc.nat()), async (given, cuts) => {
      const sent = given.map(([type, name], index) => event(type, widget(name, index + 1)));
      const bytes = Buffer.from(sent.map((line) => `${JSON.stringify(line)}\n`).join(''));
      const sized = sent.map((line) => ({ ...(line as object), size: JSON.stringify(line).length }));
      assert.deepEqual(await read(chunksOf(bytes, cuts)), sized);
    }),
  );
});

const malformed: [what: string, line: string, code: KubeErrorCode][] = [
  ['is not JSON', '{"type":"ADDED","obj', 'Malformed'],
  ['is not an object', '7', 'Malformed'],
  ['has no object', '{"type":"ADDED"}', 'Malformed'],
  ['has no resourceVersion', '{"type":"ADDED","object":{"metadata":{"name":"a"}}}', 'Malformed'],
  ['has an unknown type', '{"type":"RENAMED","object":{"metadata":{"resourceVersion":"1"}}}', 'Malformed'],
  ['reports that the resourceVersion has expired', '{"type":"ERROR","object":{"code":410,"reason":"Expired"}}', 'Gone'],
  ['reports a server error', '{"type":"ERROR","object":{"code":500}}', 'ServerError'],
  ['is an error without a status', '{"type":"ERROR"}', 'ServerError'],
];

for (const [what, line, code] of malformed) {
  test(`a line that ${what} ends the watch with ${code}, after the events before it`, async () => {
    const good = JSON.stringify(event('ADDED', widget('a', 1)));
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        const body = chunksOf(Buffer.from(`${good}\n${line}\n${good}\n`), []);
        for await (const event of readWatch(body, () => {})) seen.push(event);
      },
      (error) => isKubeError(error, code),
    );
    assert.equal(seen.length, 1);
  });
}

test('a watch requests bookmarks and returns their resourceVersion', async (t) => {
  const server = await serve(t, (exchange) => {
    exchange.events(event('ADDED', widget('a', 8)), bookmark(9));
    exchange.response.end();
  });
  const events: unknown[] = [];
  const options = { resourceVersion: '7', timeoutSeconds: 290, namespace: 'n' };
  for await (const event of server.client().watch(widgets, options)) events.push(event);
  assert.deepEqual(events[1], { type: 'BOOKMARK', resourceVersion: '9' });
  const [{ path, query } = assert.fail()] = server.exchanges;
  assert.equal(path, '/apis/example.org/v1/namespaces/n/widgets');
  assert.deepEqual(Object.fromEntries(query), {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: '7',
    timeoutSeconds: '290',
  });
});

test('a watch ends with Timeout if it falls silent, with Network if it breaks, with Aborted if it is aborted', async (t) => {
  const server = await serve(t, (exchange) => {
    exchange.events(event('ADDED', widget('a', 1)));
    if (exchange.query.get('resourceVersion') === '2') setImmediate(() => exchange.reset());
  });
  const client = server.client();
  const watch = async (resourceVersion: string, signal?: AbortSignal, onEvent?: () => void): Promise<void> => {
    const idleTimeoutMs = resourceVersion === '1' ? 50 : 60_000;
    for await (const _ of client.watch(widgets, { resourceVersion, idleTimeoutMs, signal })) onEvent?.();
  };
  await assert.rejects(watch('1'), (error) => isKubeError(error, 'Timeout'));
  await assert.rejects(watch('2'), (error) => isKubeError(error, 'Network'));
  const controller = new AbortController();
  await assert.rejects(
    watch('3', controller.signal, () => controller.abort()),
    (error) => isKubeError(error, 'Aborted'),
  );
});

test('a watch closes the connection when the caller leaves the loop', async (t) => {
  let closed: Promise<unknown> | undefined;
  const server = await serve(t, (exchange) => {
    closed = new Promise((resolve) => exchange.response.on('close', resolve));
    exchange.events(event('ADDED', widget('a', 1)));
  });
  for await (const _ of server.client().watch(widgets, { resourceVersion: '1' })) break;
  await closed;
});
