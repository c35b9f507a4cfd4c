import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FairQueue } from '../../../../src/kube/index.ts';

/** Keys are flow/subflow/name. */
const queueOf = (...keys: string[]): FairQueue => {
  const queue = new FairQueue(
    (key) => key.split('/')[0] ?? '',
    2,
    () => new FairQueue((key) => key.split('/')[1] ?? ''),
  );
  for (const key of keys) queue.push(key);
  return queue;
};

/** Takes all keys, each done before the next is taken. */
const drain = (queue: FairQueue): string[] => {
  const taken: string[] = [];
  for (let key = queue.take(); key !== undefined; key = queue.take()) {
    queue.done(key);
    taken.push(key);
  }
  return taken;
};

test('flows take turns, and the subflows of a flow take turns within its turns', () => {
  const queue = queueOf('a/x/1', 'a/x/2', 'a/x/3', 'a/y/1', 'b/x/1', 'b/x/2');
  assert.equal(queue.size, 6);
  assert.deepEqual(drain(queue), ['a/x/1', 'b/x/1', 'a/y/1', 'b/x/2', 'a/x/2', 'a/x/3']);
  assert.equal(queue.size, 0);
});

test('a flow with enough keys in progress is skipped until one of them is done', () => {
  const queue = queueOf('a/x/1', 'a/y/1', 'a/z/1', 'b/x/1');
  const taken = [queue.take(), queue.take(), queue.take()];
  assert.deepEqual(taken, ['a/x/1', 'b/x/1', 'a/y/1']);
  assert.equal(queue.take(), undefined);
  queue.done('a/y/1');
  assert.equal(queue.take(), 'a/z/1');
});

test('a key waits once, and keeps one place when its priority changes', () => {
  const queue = queueOf('a/x/1', 'a/x/2');
  queue.push('a/x/1');
  queue.putOff();
  queue.push('a/x/2');
  assert.equal(queue.size, 2);
  assert.ok(queue.has('a/x/1'));
  assert.deepEqual(drain(queue), ['a/x/2', 'a/x/1']);
  assert.ok(!queue.has('a/x/1'));
});
