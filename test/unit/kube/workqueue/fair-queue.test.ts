import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from '../../../../src/kube/workqueue/fair-queue.ts';
import { Fifo } from '../../../../src/kube/workqueue/fifo.ts';
import * as fc from '../../../support/properties.ts';

const flowOf = (key: string): string => key.split('/')[0] ?? '';

const takeAll = (queue: FairQueue): string[] => {
  const taken: string[] = [];
  for (let key = queue.take(); key !== undefined; key = queue.take()) taken.push(key);
  return taken;
};

test('a Fifo returns its items in order for any sequence of push and shift', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (pushes) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const [index, push] of pushes.entries()) {
        if (push) {
          fifo.push(index);
          model.push(index);
        } else {
          assert.equal(fifo.shift(), model.shift());
        }
        assert.equal(fifo.length, model.length);
      }
    }),
  );
});

test('flows take turns, and each is first in, first out', () => {
  const queue = new FairQueue(flowOf);
  for (const key of ['a/1', 'a/2', 'a/3', 'b/1', 'c/1', 'b/2']) queue.push(key);
  assert.deepEqual(takeAll(queue), ['a/1', 'b/1', 'c/1', 'a/2', 'b/2', 'a/3']);
});

test('a flow with one key waits for only one key of a flow with many keys', () => {
  const queue = new FairQueue(flowOf);
  for (let count = 0; count < 10_000; count += 1) queue.push(`flood/${count}`);
  queue.take();
  queue.push('quiet/1');
  assert.deepEqual([queue.take(), queue.take()], ['flood/1', 'quiet/1']);
});

test('requested keys come before the background keys of their flow, which get one turn of four', () => {
  const queue = new FairQueue(flowOf);
  for (const key of ['a/1', 'a/2', 'a/3', 'b/1']) queue.push(key, 'background');
  for (const key of ['a/4', 'a/5', 'a/6', 'a/7', 'a/8']) queue.push(key);
  assert.deepEqual(takeAll(queue), ['a/4', 'b/1', 'a/5', 'a/6', 'a/1', 'a/7', 'a/8', 'a/2', 'a/3']);
});

test('a background key that is requested moves to the end of the requested keys, and is returned once', () => {
  const queue = new FairQueue(flowOf);
  for (const key of ['a/1', 'a/2', 'a/3']) queue.push(key, 'background');
  queue.push('a/3');
  queue.push('a/1', 'background');
  assert.equal(queue.size, 3);
  assert.deepEqual(takeAll(queue), ['a/3', 'a/1', 'a/2']);
  assert.equal(queue.size, 0);
});

test('keys that are put off come after keys that are requested later', () => {
  const queue = new FairQueue(flowOf);
  for (const key of ['a/1', 'a/2']) queue.push(key);
  queue.putOff();
  queue.push('a/3');
  assert.deepEqual(takeAll(queue), ['a/3', 'a/1', 'a/2']);
});

test('every added key is returned exactly once for any sequence of calls', () => {
  const key = fc.constantFrom('a/1', 'a/2', 'a/3', 'b/1', 'b/2');
  const step = fc.oneof(
    fc.tuple(fc.constantFrom('requested' as const, 'background' as const), key),
    fc.constantFrom('take' as const, 'putOff' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (pattern) => {
      const queue = new FairQueue(flowOf);
      const waiting = new Set<string>();
      const take = (): void => {
        const taken = queue.take();
        assert.equal(taken === undefined, waiting.size === 0);
        assert.ok(taken === undefined || waiting.delete(taken), `${taken} was not waiting`);
        assert.equal(queue.size, waiting.size);
      };
      for (const what of pattern) {
        if (what === 'take') take();
        else if (what === 'putOff') queue.putOff();
        else {
          queue.push(what[1], what[0]);
          waiting.add(what[1]);
        }
      }
      while (waiting.size > 0) take();
      take();
    }),
  );
});

test('a key with n keys before it in its flow waits for at most n + 1 keys of each other flow, for any sequence of calls', () => {
  const flows = fc.constantFrom('a', 'b', 'c', 'd');
  const steps = fc.array(fc.oneof(fc.tuple(flows, fc.integer({ min: 1, max: 12 })), fc.constant('take' as const)), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, (pattern) => {
      const queue = new FairQueue(flowOf);
      const waiting = new Map<string, { readonly before: number; readonly others: Map<string, number> }>();
      const order = new Map<string, string[]>();
      let pushed = 0;
      const take = (): void => {
        const key = queue.take();
        if (key === undefined) return assert.equal(waiting.size, 0);
        const flow = flowOf(key);
        assert.equal(order.get(flow)?.shift(), key, 'not the first of its flow');
        const { before, others } = waiting.get(key) ?? assert.fail(`${key} was not waiting`);
        for (const [other, count] of others) assert.ok(count <= before + 1, `${key} waited for ${count} of ${other}`);
        waiting.delete(key);
        for (const [left, { others }] of waiting) {
          if (flowOf(left) !== flow) others.set(flow, (others.get(flow) ?? 0) + 1);
        }
      };
      for (const step of pattern) {
        if (step === 'take') {
          take();
          continue;
        }
        const [flow, count] = step;
        for (let index = 0; index < count; index += 1) {
          const key = `${flow}/${(pushed += 1)}`;
          const own = order.get(flow) ?? [];
          waiting.set(key, { before: own.length, others: new Map() });
          order.set(flow, [...own, key]);
          queue.push(key);
        }
        assert.equal(queue.size, waiting.size);
      }
      while (waiting.size > 0) take();
      assert.equal(queue.take(), undefined);
    }),
  );
});
