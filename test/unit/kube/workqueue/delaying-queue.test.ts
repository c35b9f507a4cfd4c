import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DelayingQueue } from '../../../../src/kube/workqueue/delaying-queue.ts';
import * as fc from '../../../support/properties.ts';

test('each key is due once, at its earliest time, and keys are returned in the order of their times', () => {
  const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  fc.assert(
    fc.property(fc.array(fc.tuple(keys, fc.integer({ min: 0, max: 20 })), { maxLength: 100 }), (given) => {
      const delays = new DelayingQueue();
      const model = new Map<string, number>();
      for (const [key, at] of given) {
        delays.set(key, at);
        model.set(key, Math.min(at, model.get(key) ?? at));
      }
      for (let now = 0; now <= 20; now += 1) {
        const due = [...model].filter(([, at]) => at === now).map(([key]) => key);
        const taken: string[] = [];
        for (let key = delays.takeDue(now); key !== undefined; key = delays.takeDue(now)) taken.push(key);
        assert.deepEqual(taken.sort(), due.sort());
      }
    }),
  );
});

test('a key that is woken early again and again does not fill the memory', () => {
  const delays = new DelayingQueue();
  const farAway = 10_000_000;
  delays.set('other', farAway);
  for (let now = 0; now < 10_000; now += 1) {
    delays.set('a', farAway);
    delays.set('a', now);
    assert.equal(delays.takeDue(now), 'a');
  }
  assert.ok(delays.entries <= 32, `${delays.entries} entries`);
  delays.set('a', farAway);
  assert.deepEqual(new Set([delays.takeDue(farAway), delays.takeDue(farAway)]), new Set(['a', 'other']));
});
