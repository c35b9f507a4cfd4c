import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DeferredEvents } from '../../../../src/kube/cache/deferred-events.ts';

interface Scene {
  readonly held: DeferredEvents<string>;
  /** Events that were applied, and the resourceVersions that the watch has come to, in their order. */
  readonly said: string[];
}

function scene(): Scene {
  const said: string[] = [];
  return {
    said,
    held: new DeferredEvents(
      (event) => said.push(event),
      (resourceVersion) => said.push(`up to ${resourceVersion}`),
    ),
  };
}

describe('events of a watch', () => {
  test('are applied in their order', () => {
    const { held, said } = scene();
    held.take('a1', '1', 'a');
    held.take('bookmark', '2');
    held.take('b1', '3', 'b');
    assert.deepEqual(said, ['a1', 'up to 1', 'bookmark', 'up to 2', 'b1', 'up to 3']);
  });

  test('do not wait for one that is held, and the watch has not come past that one', async () => {
    const { held, said } = scene();
    const { promise, resolve } = Promise.withResolvers<void>();
    held.take('a1', '1', 'a', promise);
    held.take('b1', '2', 'b');
    held.take('b2', '3', 'b');
    assert.deepEqual(said.splice(0), ['b1', 'b2']);
    resolve();
    await held.drain();
    assert.deepEqual(said, ['a1', 'up to 3']);
  });

  test('of an object that is held take the place of the one before, and wait for what they wait for', async () => {
    const { held, said } = scene();
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    held.take('a1', '1', 'a', first.promise);
    held.take('b1', '2', 'b');
    held.take('a2', '3', 'a', second.promise);
    first.resolve();
    await first.promise;
    held.take('b2', '4', 'b');
    assert.deepEqual(said.splice(0), ['b1', 'b2', 'up to 2']);
    second.resolve();
    await held.drain();
    assert.deepEqual(said, ['a2', 'up to 4']);
  });

  test('that nothing is waited for come after what is held of their object', async () => {
    const { held, said } = scene();
    const { promise } = Promise.withResolvers<void>();
    held.take('a1', '1', 'a', promise);
    held.take('a deleted', '2', 'a');
    assert.deepEqual(said, ['a1', 'up to 1', 'a deleted', 'up to 2']);
    await held.drain();
    assert.equal(said.length, 4);
  });

  test('are applied whether what is waited for succeeds or fails', async () => {
    const { held, said } = scene();
    held.take('a1', '1', 'a', Promise.reject(new Error('no')));
    held.take('b1', '2', 'b', Promise.resolve());
    await new Promise(setImmediate);
    assert.deepEqual(said, ['a1', 'up to 1', 'b1', 'up to 2']);
  });

  test('are still waited for when the watch has ended', async () => {
    const { held, said } = scene();
    const { promise, resolve } = Promise.withResolvers<void>();
    held.take('a1', '1', 'a', promise);
    const drained = held.drain().then(() => said.push('drained'));
    await new Promise(setImmediate);
    assert.deepEqual(said, []);
    resolve();
    await drained;
    assert.deepEqual(said, ['a1', 'up to 1', 'drained']);
  });
});
