import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { constantFrom, dictionary, assert as holds, jsonValue, property, string } from 'fast-check';
import { longestRead, parseEventLine, parseObject } from '../../../../src/kube/api/parse-object.ts';
import { isKubeError, type KubeObject } from '../../../../src/kube/index.ts';

const large = 'x'.repeat(longestRead);
const metadata = { name: 'a', namespace: 'n', labels: { '"metadata":{': '\\"\u0001}' }, resourceVersion: '7' };

/** An object as JSON whose metadata stand between other members. */
const textOf = (before: object, after: object): string => JSON.stringify({ ...before, metadata, ...after });

describe('the JSON of a large object', () => {
  test('is read as its metadata', () => {
    const object = parseObject<KubeObject>(textOf({ kind: 'Secret' }, { data: { pad: large } }), 'x', true);
    assert.deepEqual(object, { metadata, isPartial: true });
  });

  test('is read as a whole where that is asked for, and that of a small one always is', () => {
    const whole = parseObject<KubeObject & { data: object }>(textOf({}, { data: { pad: large } }), 'x', false);
    assert.deepEqual(whole.data, { pad: large });
    assert.deepEqual(parseObject(textOf({}, { data: { a: 'b' } }), 'x', true), { metadata, data: { a: 'b' } });
  });

  test('is read in an event, with its type', () => {
    const line = JSON.stringify({ type: 'MODIFIED', object: { kind: 'Secret', metadata, data: { pad: large } } });
    assert.deepEqual(parseEventLine(line, 'x', true), { type: 'MODIFIED', object: { metadata, isPartial: true } });
  });

  test('gives the metadata whatever is in front of them, and however it is spaced', () => {
    const json = jsonValue({ maxDepth: 4 });
    holds(
      property(dictionary(string({ unit: 'binary' }), json), constantFrom(undefined, 1), (members, indent) => {
        const { metadata: _, ...before } = members;
        const text = JSON.stringify({ ...before, metadata, pad: large }, undefined, indent);
        assert.deepEqual(parseObject(text, 'x', true).metadata, metadata);
      }),
      { seed: 18, numRuns: 200 },
    );
  });

  const broken: [title: string, text: string][] = [
    ['has no metadata', JSON.stringify({ pad: large })],
    ['has metadata that are no object', JSON.stringify({ metadata: 'x', pad: large })],
    ['is none', `[${JSON.stringify(large)}]`],
    ['ends in a string', `{"pad": "${large}`],
    ['ends in its metadata', `{"pad": "${large}", "metadata": {"name": "a"`],
  ];
  for (const [title, text] of broken) {
    test(`that ${title} is Malformed`, () =>
      assert.throws(
        () => parseObject(text, 'x', true),
        (error) => isKubeError(error, 'Malformed'),
      ));
  }
});
