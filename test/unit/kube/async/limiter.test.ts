import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Limiter } from '../../../../src/kube/index.ts';

/** A task that ends when the test says so. */
function task(started: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const run = (): Promise<string> => {
    started.push(name);
    return promise;
  };
  return { run, end: () => resolve(name), fail: () => reject(new Error(name)) };
}

test('at most the given number of tasks run; the others start in order when one ends or fails', async () => {
  const limiter = new Limiter(2);
  const started: string[] = [];
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => task(started, name));
  assert.ok(a && b && c && d);
  const results = [a, b, c, d].map(({ run }) => limiter.run(run));
  assert.deepEqual(started, ['a', 'b']);
  b.fail();
  await assert.rejects(results[1] ?? Promise.resolve(), /b/);
  assert.deepEqual(started, ['a', 'b', 'c']);
  a.end();
  await results[0];
  assert.deepEqual(started, ['a', 'b', 'c', 'd']);
  c.end();
  d.end();
  assert.deepEqual(await Promise.all([results[2], results[3]]), ['c', 'd']);
});

test('a task that comes later does not overtake one that waits', async () => {
  const limiter = new Limiter(1);
  const started: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => task(started, name));
  assert.ok(a && b && c);
  const first = limiter.run(a.run);
  const second = limiter.run(b.run);
  a.end();
  await first;
  const third = limiter.run(c.run);
  assert.deepEqual(started, ['a', 'b']);
  b.end();
  c.end();
  await Promise.all([second, third]);
});
