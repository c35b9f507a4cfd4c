import assert from 'node:assert/strict';
import { KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { KeyMaker } from '../../../src/controllers/key-maker.ts';
import { describeKey, type KeySpec } from '../../../src/pki/index.ts';

const now = new Date('2026-11-23T12:00:00Z');
const rsa: KeySpec = { algorithm: 'RSA', size: 2048 };
const ecdsa: KeySpec = { algorithm: 'ECDSA', size: 256 };

/** A maker, and for each owner the moment at which it is told to ask again. */
function maker(concurrency = 1) {
  const told: string[] = [];
  const waiters = new Map<string, () => void>();
  const onReady = (owner: string): void => {
    told.push(owner);
    waiters.get(owner)?.();
  };
  const ready = (owner: string): Promise<void> =>
    told.includes(owner) ? Promise.resolve() : new Promise((resolve) => waiters.set(owner, resolve));
  return { keys: new KeyMaker({ concurrency, onReady }), told, ready };
}

describe('keys', () => {
  test('that are quick to make are there at once, and each is another', async () => {
    const { keys, told } = maker();
    const [first, second] = [await keys.take('a', 'server', ecdsa, now), await keys.take('a', 'server', ecdsa, now)];
    assert.ok(first instanceof KeyObject && second instanceof KeyObject);
    assert.equal(first.equals(second), false);
    assert.deepEqual(told, []);
  });

  test('of RSA are promised, told of, and handed out once', async () => {
    const { keys, ready } = maker();
    assert.deepEqual(await keys.take('a', 'server', rsa, now), { since: now });
    const later = new Date(now.getTime() + 1000);
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: now }, 'the same order');
    await ready('a');
    const key = await keys.take('a', 'server', rsa, later);
    assert.ok(key instanceof KeyObject);
    assert.equal(describeKey(key), 'RSA-2048');
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: later }, 'the next order');
  });

  test('of other kinds do not wait behind RSA keys, however many those are', async () => {
    const { keys, told, ready } = maker();
    const owners = Array.from({ length: 5 }, (_, i) => `slow-${i}`);
    for (const owner of owners) await keys.take(owner, 'server', rsa, now);
    assert.ok((await keys.take('quick', 'server', ecdsa, now)) instanceof KeyObject);
    assert.ok(told.length < owners.length, 'the RSA keys are still being made');
    for (const owner of owners) await ready(owner);
    assert.deepEqual(told, owners, 'one after the other, first come first served');
  });

  test('are not made for an owner that has gone, nor in a size that is no longer wanted', async () => {
    const { keys, told, ready } = maker();
    await keys.take('first', 'server', rsa, now);
    await keys.take('gone', 'server', rsa, now);
    await keys.take('other', 'server', { algorithm: 'RSA', size: 8192 }, now);
    await keys.take('other', 'server', rsa, now);
    keys.drop('gone');
    await ready('other');
    const key = await keys.take('other', 'server', rsa, now);
    assert.ok(key instanceof KeyObject);
    assert.equal(describeKey(key), 'RSA-2048');
    assert.deepEqual(told, ['first', 'other']);
  });
});
