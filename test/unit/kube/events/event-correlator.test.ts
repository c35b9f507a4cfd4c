import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventCorrelator, type EventKey } from '../../../../src/kube/events/event-correlator.ts';
import { heapInUse } from '../../../support/heap.ts';

const eventOf = (name: string, note = 'made it', more: Partial<EventKey> = {}): EventKey => ({
  regarding: { apiVersion: 'example.org/v1', kind: 'Widget', namespace: 'n', name },
  type: 'Normal',
  reason: 'Made',
  note,
  ...more,
});

test('two events are the same only if object, type, reason and note are equal', () => {
  const filter = new EventCorrelator();
  const { regarding } = eventOf('a');
  const different: EventKey[] = [
    eventOf('a'),
    eventOf('b'),
    eventOf('a', 'made another'),
    eventOf('a', 'made it', { type: 'Warning' }),
    eventOf('a', 'made it', { reason: 'Unmade' }),
    eventOf('a', 'made it', { regarding: { ...regarding, kind: 'Gadget' } }),
    eventOf('a', 'made it', { regarding: { ...regarding, namespace: 'm' } }),
    eventOf('a', 'made it', { regarding: { ...regarding, uid: 'u' } }),
  ];
  for (const one of different) assert.ok(filter.admits(one, 0));
  for (const one of different) assert.ok(!filter.admits(one, 599_999));
  for (const one of different) assert.ok(filter.admits(one, 600_000));
});

test('a repeated event does not count against the limit of its object', () => {
  const filter = new EventCorrelator();
  for (let count = 0; count < 100; count += 1) filter.admits(eventOf('a'), 0);
  const admitted = Array.from({ length: 100 }, (_, count) => filter.admits(eventOf('a', `made ${count}`), 0));
  assert.equal(admitted.filter(Boolean).length, 24);
});

test('an event beyond the limit does not count as written', () => {
  const filter = new EventCorrelator();
  for (let count = 0; count < 25; count += 1) filter.admits(eventOf('a', `made ${count}`), 0);
  assert.ok(!filter.admits(eventOf('a', 'dropped'), 0));
  assert.ok(filter.admits(eventOf('a', 'dropped'), 300_000));
});

test('the objects of the latest thousands of events are remembered, and so is an object with a steady stream of events', () => {
  const filter = new EventCorrelator();
  filter.admits(eventOf('steady'), 0);
  for (let count = 0; count < 50_000; count += 1) {
    assert.ok(filter.admits(eventOf(`w${count}`), 0));
    assert.ok(!filter.admits(eventOf('steady'), 0));
    if (count >= 2000 && count % 100 === 0) assert.ok(!filter.admits(eventOf(`w${count - 2000}`), 0));
  }
  assert.ok(filter.admits(eventOf('w0'), 0), 'old objects are never forgotten');
});

test('a user who makes many long notes does not fill the memory', () => {
  const filter = new EventCorrelator();
  const before = heapInUse();
  const mebibytes = (bytes: number): number => bytes / 2 ** 20;
  // As many objects as are remembered at least, with notes of 195 MiB.
  for (let count = 0; count < 2000 * 10; count += 1) {
    const note = `${count} `.padEnd(10_000, 'x');
    assert.ok(filter.admits(eventOf(`w${count % 2000}`, note), 0));
  }
  const kept = mebibytes(heapInUse() - before);
  assert.ok(kept < 20, `${kept.toFixed(0)} MiB`);
  assert.ok(!filter.admits(eventOf('w0', '0 '.padEnd(10_000, 'x')), 0), 'it is still remembered');
});
