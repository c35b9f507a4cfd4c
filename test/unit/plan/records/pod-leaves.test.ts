import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  encodePodLeaves,
  livePodLeaves,
  mergePodLeaves,
  noPodLeaves,
  type PodLeaves,
  parsePodLeaves,
  recordedUntil,
  roundUp,
} from '../../../../src/plan/index.ts';
import { earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';

const [a, b] = ['aa'.repeat(32), 'bb'.repeat(32)] as const;
const record = (roots: Readonly<Record<string, Date>>, issuers: Readonly<Record<string, Date>> = {}): PodLeaves => ({
  roots: new Map(Object.entries(roots)),
  issuers: new Map(Object.entries(issuers)),
});

const ids = fc.stringMatching(/^[0-9a-f]{64}$/);
const moments = fc.date({ min: new Date(0), max: new Date('2099-01-01T00:00:00Z'), noInvalidDate: true });
const entries = fc.dictionary(ids, moments, { maxKeys: 5 });
const records = fc.tuple(entries, entries).map(([roots, issuers]) => record(roots, issuers));

describe('the record of certificates for pods', () => {
  test('survives the root Secret, and equal records have equal texts', () => {
    fc.assert(
      fc.property(records, (one) => {
        const text = encodePodLeaves(one);
        assert.deepEqual(parsePodLeaves(text), one);
        const turned = { roots: new Map([...one.roots].reverse()), issuers: new Map([...one.issuers].reverse()) };
        assert.equal(encodePodLeaves(turned), text);
      }),
    );
  });

  test('reads in the root Secret as the identity of each CA and a time', () => {
    const text = encodePodLeaves(record({ [b]: now, [a]: later(hours(1)) }, { [a]: now }));
    assert.equal(
      text,
      `{"roots":{"${a}":"2026-03-01T13:00:00.000Z","${b}":"2026-03-01T12:00:00.000Z"},"issuers":{"${a}":"2026-03-01T12:00:00.000Z"}}`,
    );
  });

  test('keeps the latest of more entries than it may have', () => {
    const many = Array.from({ length: 80 }, (_, n) => [n.toString(16).padStart(64, '0'), later(minutes(n))] as const);
    const { roots } = parsePodLeaves(encodePodLeaves({ roots: new Map(many), issuers: new Map() }));
    assert.deepEqual(roots, new Map(many.slice(-64)));
  });

  const malformed: [title: string, text: string | undefined][] = [
    ['no annotation', undefined],
    ['an empty annotation', ''],
    ['text that is not JSON', '{'],
    ['a number', '1'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a list of roots', '{"roots":[1]}'],
    ['a name that is not the identity of a CA', `{"roots":{"root":"2026-03-01T12:00:00.000Z"}}`],
    ['a number for a time', `{"roots":{"${a}":1}}`],
    ['a time without a time zone', `{"roots":{"${a}":"2026-03-01T12:00:00"}}`],
    ['a date that does not exist', `{"roots":{"${a}":"2026-13-01T12:00:00Z"}}`],
    ['a text longer than any record', `{"roots":{"${a}":"2026-03-01T12:00:00Z"}}${' '.repeat(33_000)}`],
  ];
  for (const [title, text] of malformed)
    test(`is empty for ${title}`, () => assert.deepEqual(parsePodLeaves(text), noPodLeaves));

  test('keeps the valid entries next to one that is not valid', () => {
    const text = `{"roots":{"${a}":"2026-03-01T12:00:00Z","x":"2026-03-01T12:00:00Z"},"issuers":7}`;
    assert.deepEqual(parsePodLeaves(text), record({ [a]: now }));
  });

  test('has the later time of two records, and loses entries that are over', () => {
    const [first, second] = [record({ [a]: now, [b]: later(1) }), record({ [a]: later(2) }, { [b]: now })];
    const merged = mergePodLeaves(first, second);
    assert.deepEqual(merged, record({ [a]: later(2), [b]: later(1) }, { [b]: now }));
    assert.deepEqual(livePodLeaves(merged, later(1)), record({ [a]: later(2) }));
    assert.deepEqual(recordedUntil(merged, a), later(2));
    assert.deepEqual([recordedUntil(noPodLeaves, a), recordedUntil(undefined, a)], [undefined, undefined]);
  });

  test('rounds a notAfter up to ten minutes', () => {
    assert.deepEqual(roundUp(now), now);
    assert.deepEqual(roundUp(later(1)), later(minutes(10)));
    assert.deepEqual(roundUp(later(minutes(10) - 1)), later(minutes(10)));
    assert.deepEqual(roundUp(earlier(1)), now);
  });
});
