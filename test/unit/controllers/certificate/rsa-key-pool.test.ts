import assert from 'node:assert/strict';
import { generateKeyPairSync, KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { RsaKeyPool } from '../../../../src/controllers/certificate/rsa-key-pool.ts';
import { describeKey, type KeySpec } from '../../../../src/pki/index.ts';

const now = new Date('2026-11-23T12:00:00Z');
const rsa: KeySpec = { algorithm: 'RSA', size: 2048 };
const ecdsa: KeySpec = { algorithm: 'ECDSA', size: 256 };

const later = new Date(now.getTime() + 1000);
const someKey = generateKeyPairSync('ed25519').privateKey;

/** A maker whose keys are ready when the test says so, in the order in which their generation began. */
function steppedMaker(concurrency: number) {
  const told: string[] = [];
  const inWork: { readonly size: number; readonly finish: () => void; readonly fail: () => void }[] = [];
  const keys = new RsaKeyPool({
    concurrency,
    onReady: (owner) => told.push(owner),
    generate: (spec) =>
      new Promise((resolve, reject) => {
        const size = spec.algorithm === 'RSA' ? spec.size : 0;
        inWork.push({ size, finish: () => resolve(someKey), fail: () => reject(new Error('no primes')) });
      }),
  });
  const end = async (how: 'finish' | 'fail' = 'finish', index = 0): Promise<void> => {
    const [work] = inWork.splice(index, 1);
    assert.ok(work !== undefined, 'no key is being generated');
    work[how]();
    await setImmediate();
  };
  return { keys, told, end, sizes: () => inWork.map(({ size }) => size) };
}

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
  return { keys: new RsaKeyPool({ concurrency, onReady }), told, ready };
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
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: now }, 'the same order');
    await ready('a');
    const key = await keys.take('a', 'server', rsa, later);
    assert.ok(key instanceof KeyObject);
    assert.equal(describeKey(key), 'RSA-2048');
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: later }, 'the next order');
  });

  test('are not generated any more once the pool is stopped', async () => {
    const { keys, told, end, sizes } = steppedMaker(1);
    for (const owner of ['one/a', 'two/b', 'three/c']) await keys.take(owner, 'server', rsa, now);
    keys.stop();
    await end();
    assert.deepEqual(sizes(), [], 'the orders that waited are dropped');
    assert.deepEqual(told, ['one/a']);
    assert.deepEqual(await keys.take('one/a', 'server', rsa, later), { since: later }, 'the key is thrown away');
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

  for (const concurrency of [1, 2, 4]) {
    test(`RSA keys take turns by namespace: 15 of one delay that of another by one key at most, ${concurrency} at a time`, async () => {
      const { keys, told, end, sizes } = steppedMaker(concurrency);
      const large: KeySpec = { algorithm: 'RSA', size: 8192 };
      for (let i = 0; i < 5; i += 1) {
        for (const role of ['server', 'client', 'peer']) await keys.take(`greedy/${i}`, role, large, now);
      }
      assert.deepEqual(sizes(), [8192], 'one namespace has one key in work');
      await keys.take('shop/payments', 'server', rsa, now);
      if (concurrency === 1) await end();
      assert.ok(sizes().includes(2048), `in work: ${sizes().join()}`);
      await end('finish', sizes().indexOf(2048));
      assert.deepEqual(told, [...(concurrency === 1 ? ['greedy/0'] : []), 'shop/payments']);
      assert.ok((await keys.take('shop/payments', 'server', rsa, now)) instanceof KeyObject);
      while (sizes().length > 0) {
        assert.deepEqual(sizes(), [8192]);
        await end();
      }
      assert.equal(told.length, 16, 'and every key of the first is generated');
    });
  }

  test('a key that cannot be generated, or that is ordered in another size meanwhile, holds up no other', async () => {
    const { keys, told, end, sizes } = steppedMaker(1);
    const larger: KeySpec = { algorithm: 'RSA', size: 4096 };
    await keys.take('shop/a', 'server', rsa, now);
    await keys.take('shop/a', 'server', larger, now);
    await keys.take('shop/b', 'server', rsa, now);
    await end('fail');
    assert.deepEqual(await keys.take('shop/a', 'server', larger, now), { since: now }, 'the second order stands');
    assert.deepEqual(sizes(), [4096]);
    await end();
    assert.deepEqual(sizes(), [2048]);
    await end('fail');
    assert.deepEqual(told, ['shop/a', 'shop/a', 'shop/b']);
    await keys.take('shop/b', 'server', rsa, now);
    assert.deepEqual(sizes(), [2048], 'who asks again gets a new order');
  });
});
