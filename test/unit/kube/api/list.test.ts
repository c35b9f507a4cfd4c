import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readList } from '../../../../src/kube/api/list.ts';
import { isKubeError } from '../../../../src/kube/index.ts';
import * as fc from '../../../support/properties.ts';
import { type Widget, widget } from './widgets.ts';

async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
  for (const [index, place] of places.slice(1).entries()) yield bytes.subarray(places[index], place);
}

async function read(text: string, cuts: readonly number[] = [], limits = { bytes: 4096, items: 500 }) {
  const parts: Array<{
    items: readonly Widget[];
    resourceVersion?: string | undefined;
    continueToken?: string | undefined;
  }> = [];
  for await (const part of readList<Widget>(chunksOf(Buffer.from(text), cuts), () => {}, limits)) parts.push(part);
  const { resourceVersion, continueToken } = parts.at(-1) ?? {};
  return { items: parts.flatMap(({ items }) => items), resourceVersion, continueToken, parts };
}

const head = { kind: 'WidgetList', apiVersion: 'example.org/v1' };

test('a list is parsed correctly for any chunks, any objects and any position of its metadata', async () => {
  const value = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.constant('\\"items":[{'),
    fc.string({ unit: fc.constantFrom('\\', '"', '{', ']', ',', 'é'), maxLength: 80 }),
  );
  const shapes = [
    (items: unknown, metadata: unknown) => ({ ...head, metadata, items }),
    (items: unknown, metadata: unknown) => ({ items, ...head, metadata }),
    (items: unknown, metadata: unknown) => ({
      x: { items: [{ a: 1 }] },
      metadata,
      'a,"items"': [1, '"items":['],
      items,
    }),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(value, { maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.constantFrom(...shapes),
      fc.constantFrom(undefined, 1),
      async (values, cuts, shape, indent) => {
        const items = values.map((note, i) => ({ ...widget(`w${i}`, i + 1), note, items: [{ note }] }));
        const text = JSON.stringify(shape(items, { resourceVersion: '7', continue: 'next' }), undefined, indent);
        const listed = await read(text, cuts);
        assert.deepEqual(listed.items, items);
        assert.deepEqual([listed.resourceVersion, listed.continueToken], ['7', 'next']);
      },
    ),
    { numRuns: 300 },
  );
});

test('parts are bounded in bytes and in objects, and the last one has the resourceVersion and continue token', async () => {
  const items = Array.from({ length: 10 }, (_, i) => ({
    ...widget(`w${i}`, i + 1),
    note: 'x'.repeat(i < 5 ? 1000 : 1),
  }));
  const { parts } = await read(JSON.stringify({ ...head, metadata: { resourceVersion: '7' }, items }), [], {
    bytes: 2000,
    items: 3,
  });
  assert.deepEqual(
    parts.map(({ items }) => items.length),
    [2, 2, 3, 3],
  );
  assert.deepEqual(
    parts.map(({ resourceVersion }) => resourceVersion),
    [undefined, undefined, undefined, '7'],
  );
});

test('a body is read only when the caller asks for the next part, so that one part and one object are in memory', async () => {
  let sent = 0;
  const item = JSON.stringify({ ...widget('a', 1), note: 'x'.repeat(1000) });
  async function* body(): AsyncGenerator<Buffer> {
    yield Buffer.from('{"metadata":{"resourceVersion":"7"},"items":[');
    for (let i = 0; i < 100; i += 1) {
      sent += 1;
      yield Buffer.from(i === 0 ? item : `,${item}`);
    }
    yield Buffer.from(']}');
  }
  let taken = 0;
  for await (const { items } of readList<Widget>(body(), () => {}, { bytes: 5000, items: 500 })) {
    taken += items.length;
    assert.ok(sent <= taken + 1, `${sent} were read when ${taken} were taken`);
  }
  assert.equal(taken, 100);
});

test('a list without items is empty', async () => {
  for (const items of [null, [], undefined]) {
    const listed = await read(JSON.stringify({ metadata: { resourceVersion: '7' }, items }));
    assert.deepEqual([listed.items, listed.resourceVersion, listed.continueToken], [[], '7', undefined]);
  }
});

const malformed: [what: string, text: string][] = [
  ['is not JSON', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{}},'],
  ['ends in an item', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{'],
  ['ends in a string', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a\\'],
  ['is no object', '[]'],
  ['is empty', ''],
  ['has an item that is a number', '{"metadata":{"resourceVersion":"1"},"items":[1]}'],
  ['has an item that is a list', '{"metadata":{"resourceVersion":"1"},"items":[[{"metadata":{}}]]}'],
  ['has an item that is a string', '{"metadata":{"resourceVersion":"1"},"items":["{"]}'],
  ['has an item without metadata', '{"metadata":{"resourceVersion":"1"},"items":[{"a":1}]}'],
  ['has an item that is not JSON', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":}]}'],
  ['has no resourceVersion', '{"metadata":{},"items":[]}'],
  ['has very long metadata', `{"metadata":{"resourceVersion":"1","continue":"${'x'.repeat(2_000_000)}"},"items":[]}`],
];

for (const [what, text] of malformed) {
  test(`a list that ${what} is Malformed`, async () => {
    await assert.rejects(read(text), (error) => isKubeError(error, 'Malformed'));
  });
}
