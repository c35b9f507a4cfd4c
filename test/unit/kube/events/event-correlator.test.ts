import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventCorrelator, type EventKey } from '../../../../src/kube/events/event-correlator.ts';

const said = (name: string, note = 'made it', more: Partial<EventKey> = {}): EventKey => ({
  regarding: { apiVersion: 'example.org/v1', kind: 'Widget', namespace: 'n', name },
  type: 'Normal',
  reason: 'Made',
  note,
  ...more,
});

test('an event is the same only if all of it is: object, type, reason and note', () => {
  const filter = new EventCorrelator();
  const { regarding } = said('a');
  const different: EventKey[] = [
    said('a'),
    said('b'),
    said('a', 'made another'),
    said('a', 'made it', { type: 'Warning' }),
    said('a', 'made it', { reason: 'Unmade' }),
    said('a', 'made it', { regarding: { ...regarding, kind: 'Gadget' } }),
    said('a', 'made it', { regarding: { ...regarding, namespace: 'm' } }),
    said('a', 'made it', { regarding: { ...regarding, uid: 'u' } }),
  ];
  for (const one of different) assert.ok(filter.admits(one, 0));
  for (const one of different) assert.ok(!filter.admits(one, 599_999));
  for (const one of different) assert.ok(filter.admits(one, 600_000));
});

test('a repetition costs an object nothing of what it may still say', () => {
  const filter = new EventCorrelator();
  for (let count = 0; count < 100; count += 1) filter.admits(said('a'), 0);
  const admitted = Array.from({ length: 100 }, (_, count) => filter.admits(said('a', `made ${count}`), 0));
  assert.equal(admitted.filter(Boolean).length, 24);
});

test('what was held back as too much is not taken for said', () => {
  const filter = new EventCorrelator();
  for (let count = 0; count < 25; count += 1) filter.admits(said('a', `made ${count}`), 0);
  assert.ok(!filter.admits(said('a', 'held back'), 0));
  assert.ok(filter.admits(said('a', 'held back'), 300_000));
});

test('the thousands of objects met last are remembered, and one that is met all the time is not forgotten', () => {
  const filter = new EventCorrelator();
  filter.admits(said('steady'), 0);
  for (let count = 0; count < 50_000; count += 1) {
    assert.ok(filter.admits(said(`w${count}`), 0));
    assert.ok(!filter.admits(said('steady'), 0));
    if (count >= 2000 && count % 100 === 0) assert.ok(!filter.admits(said(`w${count - 2000}`), 0));
  }
  assert.ok(filter.admits(said('w0'), 0), 'all are remembered, without end');
});
