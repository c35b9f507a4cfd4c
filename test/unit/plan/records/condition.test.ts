import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../../../src/api/types.ts';
import { microTimestamp } from '../../../../src/kube/index.ts';
import { mergeConditions } from '../../../../src/plan/index.ts';
import { timestamp } from '../../../../src/plan/timing/timestamp.ts';
import * as fc from '../../../support/properties.ts';

type WantedCondition = Omit<Condition, 'lastTransitionTime'>;

const then = '2026-01-01T00:00:00Z';
const now = new Date('2026-02-03T04:05:06.789Z');
const ready = (status: Condition['status'], reason = 'R', observedGeneration = 1): WantedCondition => ({
  type: 'Ready',
  status,
  reason,
  message: 'm',
  observedGeneration,
});

test('a condition with the same status keeps its lastTransitionTime, even if other fields change', () => {
  const previous = [{ ...ready('True'), lastTransitionTime: then }];
  const merged = mergeConditions(previous, [ready('True', 'Other', 2)], now);
  assert.deepEqual(merged, [{ ...ready('True', 'Other', 2), lastTransitionTime: then }]);
});

test('a condition whose status changes gets the current time', () => {
  const previous = [{ ...ready('True'), lastTransitionTime: then }];
  assert.equal(mergeConditions(previous, [ready('False')], now)[0]?.lastTransitionTime, '2026-02-03T04:05:06Z');
});

test('a type that is no longer desired is removed, the others keep their places, and new ones come last', () => {
  const types = (conditions: readonly { type: string }[]): string => conditions.map(({ type }) => type).join();
  const of = (type: string): WantedCondition => ({ ...ready('True'), type });
  const previous = ['A', 'B', 'C'].map((type) => ({ ...of(type), lastTransitionTime: then }));
  assert.equal(types(mergeConditions(previous, ['D', 'C', 'A'].map(of), now)), 'A,C,D');
  assert.equal(types(mergeConditions(undefined, ['D', 'C'].map(of), now)), 'D,C');
});

test('merging the same conditions again at a later time changes nothing', () => {
  const wanted = fc.uniqueArray(
    fc.record(
      {
        type: fc.constantFrom('A', 'B', 'C', 'D'),
        status: fc.constantFrom('True', 'False', 'Unknown'),
        reason: fc.string(),
        message: fc.string(),
        observedGeneration: fc.nat(),
      },
      { requiredKeys: ['type', 'status', 'reason', 'message'] },
    ),
    { selector: ({ type }) => type },
  );
  fc.assert(
    fc.property(wanted, wanted, fc.date({ noInvalidDate: true }), (before, after, later) => {
      const merged = mergeConditions(mergeConditions([], before, now), after, now);
      assert.deepEqual(mergeConditions(merged, after, later), merged);
      // As the API server returns it.
      assert.deepEqual(
        JSON.parse(JSON.stringify(merged)),
        merged.map((condition) => ({ ...condition })),
      );
    }),
  );
});

test('times have the precision of their types', () => {
  assert.equal(timestamp(now), '2026-02-03T04:05:06Z');
  assert.equal(microTimestamp(now), '2026-02-03T04:05:06.789000Z');
});
