import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DeferredEvents } from '../../../../src/kube/cache/deferred-events.ts';

interface Scene {
  readonly events: DeferredEvents<string>;
  /** The applied events and the resourceVersions of the watch, in their order. */
  readonly applied: string[];
}

function scene(): Scene {
  const applied: string[] = [];
  return {
    applied,
    events: new DeferredEvents(
      (event) => applied.push(event),
      (resourceVersion) => applied.push(`up to ${resourceVersion}`),
    ),
  };
}

describe('events of a watch', () => {
  test('are applied in their order', () => {
    const { events, applied } = scene();
    events.take('a1', '1', 'a');
    events.take('bookmark', '2');
    events.take('b1', '3', 'b');
    assert.deepEqual(applied, ['a1', 'up to 1', 'bookmark', 'up to 2', 'b1', 'up to 3']);
  });

  test('do not wait for a deferred event, but the watch does not advance past it', async () => {
    const { events, applied } = scene();
    const { promise, resolve } = Promise.withResolvers<void>();
    events.take('a1', '1', 'a', promise);
    events.take('b1', '2', 'b');
    events.take('b2', '3', 'b');
    assert.deepEqual(applied.splice(0), ['b1', 'b2']);
    resolve();
    await events.drain();
    assert.deepEqual(applied, ['a1', 'up to 3']);
  });

  test('replace the deferred event of their object, and wait for their own promise', async () => {
    const { events, applied } = scene();
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    events.take('a1', '1', 'a', first.promise);
    events.take('b1', '2', 'b');
    events.take('a2', '3', 'a', second.promise);
    first.resolve();
    await first.promise;
    events.take('b2', '4', 'b');
    assert.deepEqual(applied.splice(0), ['b1', 'b2', 'up to 2']);
    second.resolve();
    await events.drain();
    assert.deepEqual(applied, ['a2', 'up to 4']);
  });

  test('without a promise are applied at once, after the deferred event of their object', async () => {
    const { events, applied } = scene();
    const { promise } = Promise.withResolvers<void>();
    events.take('a1', '1', 'a', promise);
    events.take('a deleted', '2', 'a');
    assert.deepEqual(applied, ['a1', 'up to 1', 'a deleted', 'up to 2']);
    await events.drain();
    assert.equal(applied.length, 4);
  });

  test('are applied whether their promise is fulfilled or rejected', async () => {
    const { events, applied } = scene();
    events.take('a1', '1', 'a', Promise.reject(new Error('no')));
    events.take('b1', '2', 'b', Promise.resolve());
    await new Promise(setImmediate);
    assert.deepEqual(applied, ['a1', 'up to 1', 'b1', 'up to 2']);
  });

  test('are still deferred after the watch has ended', async () => {
    const { events, applied } = scene();
    const { promise, resolve } = Promise.withResolvers<void>();
    events.take('a1', '1', 'a', promise);
    const drained = events.drain().then(() => applied.push('drained'));
    await new Promise(setImmediate);
    assert.deepEqual(applied, []);
    resolve();
    await drained;
    assert.deepEqual(applied, ['a1', 'up to 1', 'drained']);
  });
});
