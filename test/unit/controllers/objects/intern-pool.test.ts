import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternPool } from '../../../../src/controllers/objects/intern-pool.ts';
import { isSameJson } from '../../../../src/controllers/objects/same-json.ts';
import * as fc from '../../../support/properties.ts';

/** A copy that is equal, but not identical. */
const copyOf = <T>(value: T): T => structuredClone(value);

describe('an interned value', () => {
  test('is equal to the given value, whatever was interned before', () => {
    const internPool = new InternPool(3);
    const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !hasMinusZero(value));
    fc.assert(
      fc.property(json, (value) => assert.deepEqual(internPool.value(copyOf(value)), value)),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.string(), (text) => assert.equal(internPool.text(text), text)));
  });

  test('is identical for equal values, and never shared between values of different kinds', () => {
    const internPool = new InternPool();
    const values = [{ a: 1 }, { a: '1' }, ['a', 1], '{"a":1}', { a: null }, {}, []];
    const first = values.map((value) => internPool.value(value));
    assert.deepEqual(first, values);
    for (const [i, value] of values.entries()) assert.equal(internPool.value(copyOf(value)), first[i]);
  });

  test('is forgotten when the pool is full, and interned again after that', () => {
    const internPool = new InternPool(2);
    const [a, b] = [{ name: 'a' }, { name: 'b' }];
    internPool.value(a);
    internPool.value(b);
    assert.equal(internPool.value(copyOf(a)), a);
    internPool.value({ name: 'c' });
    const again = copyOf(a);
    assert.equal(internPool.value(again), again, 'a forgotten value gets a second copy');
    assert.equal(internPool.value(copyOf(a)), again);
  });

  test('is forgotten when users write many different values, however few entries they are', () => {
    const internPool = new InternPool();
    const texts = Array.from({ length: 1100 }, (_, i) => `${i} `.padEnd(1000, 'x'));
    const values = texts.map((text) => ({ text }));
    for (const value of values) internPool.value(value);
    assert.notEqual(internPool.value(copyOf(values[0])), values[0]);
    assert.equal(internPool.value(copyOf(values.at(-1))), values.at(-1));
  });

  test('is not shared if it is long', () => {
    const internPool = new InternPool();
    const long = { text: 'x'.repeat(3000) };
    assert.equal(internPool.value(long), long);
    const copy = copyOf(long);
    assert.equal(internPool.value(copy), copy);
  });

  test('stays undefined if it is undefined', () => {
    const internPool = new InternPool();
    assert.deepEqual([internPool.text(undefined), internPool.value(undefined)], [undefined, undefined]);
  });
});

describe('two values are the same JSON', () => {
  test('exactly if their serialised forms with sorted keys are equal', () => {
    const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !hasMinusZero(value));
    fc.assert(
      fc.property(json, json, (a, b) => {
        assert.equal(isSameJson(a, copyOf(a)), true);
        assert.equal(isSameJson(a, b), JSON.stringify(sorted(a)) === JSON.stringify(sorted(b)));
      }),
    );
  });

  const different: [a: unknown, b: unknown][] = [
    [{ a: 1 }, { a: 1, b: 1 }],
    [{ a: undefined }, {}],
    [{ a: undefined }, { b: undefined }],
    [{ toString: 1 }, { b: 1 }],
    [{}, []],
    [[], null],
    [['a'], { 0: 'a' }],
    [undefined, null],
    [1, '1'],
  ];
  for (const [a, b] of different) {
    test(`but not ${JSON.stringify(a)} and ${JSON.stringify(b)}`, () => {
      assert.equal(isSameJson(a, b), false);
      assert.equal(isSameJson(b, a), false);
      assert.equal(isSameJson({ x: [a] }, { x: [b] }), false);
    });
  }

  test('in any order of keys', () => assert.equal(isSameJson({ a: 1, b: [2] }, { b: [2], a: 1 }), true));
});

// JSON has minus zero, but numbers in the schemas of the operator are only counts.
const hasMinusZero = (value: unknown): boolean =>
  Object.is(value, -0) ||
  (typeof value === 'object' && value !== null && Object.values(value).some((item) => hasMinusZero(item)));

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, item]) => [key, sorted(item)]).concat([['an object', '']]);
}
