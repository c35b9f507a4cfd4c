import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { longestRead, parseEventLine, parseObject } from '../../../../src/kube/api/parse-object.ts';
import { isKubeError, type KubeObject } from '../../../../src/kube/index.ts';
import { constantFrom, dictionary, assert as holds, jsonValue, property, string } from '../../../support/properties.ts';

const large = 'x'.repeat(longestRead);
const metadata = { name: 'a', namespace: 'n', labels: { '"metadata":{': '\\"\u0001}' }, resourceVersion: '7' };

/** The JSON of an object with its metadata between other members. */
const textOf = (before: object, after: object): string => JSON.stringify({ ...before, metadata, ...after });

describe('the JSON of a large object', () => {
  test('is parsed as metadata only', () => {
    const object = parseObject<KubeObject>(textOf({ kind: 'Secret' }, { data: { pad: large } }), 'x', true);
    assert.deepEqual(object, { metadata, isPartial: true });
  });

  test('is parsed as a whole without skipsLarge, and so is that of every small object', () => {
    const whole = parseObject<KubeObject & { data: object }>(textOf({}, { data: { pad: large } }), 'x', false);
    assert.deepEqual(whole.data, { pad: large });
    assert.deepEqual(parseObject(textOf({}, { data: { a: 'b' } }), 'x', true), { metadata, data: { a: 'b' } });
  });

  test('is parsed as metadata only in a watch event, with the type of the event', () => {
    const line = JSON.stringify({ type: 'MODIFIED', object: { kind: 'Secret', metadata, data: { pad: large } } });
    assert.deepEqual(parseEventLine(line, 'x', true), { type: 'MODIFIED', object: { metadata, isPartial: true } });
  });

  test('yields the metadata after any other members and with any white space', () => {
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
    ['has metadata that is not an object', JSON.stringify({ metadata: 'x', pad: large })],
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
