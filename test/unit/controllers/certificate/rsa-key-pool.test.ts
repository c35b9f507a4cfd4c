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

/** A pool in which the test decides when a key is ready. Keys are listed in the order in which their generation started. */
function steppedPool(concurrency: number) {
  const ready: string[] = [];
  const inWork: { readonly size: number; readonly finish: () => void; readonly fail: () => void }[] = [];
  const keys = new RsaKeyPool({
    concurrency,
    onReady: (owner) => ready.push(owner),
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
  return { keys, ready, end, sizes: () => inWork.map(({ size }) => size) };
}

/** A pool, with a promise for each owner that resolves when its key is ready. */
function startPool(concurrency = 1) {
  const called: string[] = [];
  const waiters = new Map<string, () => void>();
  const onReady = (owner: string): void => {
    called.push(owner);
    waiters.get(owner)?.();
  };
  const ready = (owner: string): Promise<void> =>
    called.includes(owner) ? Promise.resolve() : new Promise((resolve) => waiters.set(owner, resolve));
  return { keys: new RsaKeyPool({ concurrency, onReady }), called, ready };
}

describe('keys', () => {
  test('that are fast to generate are returned at once, and each is different', async () => {
    const { keys, called } = startPool();
    const [first, second] = [await keys.take('a', 'server', ecdsa, now), await keys.take('a', 'server', ecdsa, now)];
    assert.ok(first instanceof KeyObject && second instanceof KeyObject);
    assert.equal(first.equals(second), false);
    assert.deepEqual(called, []);
  });

  test('of RSA are ordered, reported when ready, and returned once', async () => {
    const { keys, ready } = startPool();
    assert.deepEqual(await keys.take('a', 'server', rsa, now), { since: now });
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: now }, 'the same order');
    await ready('a');
    const key = await keys.take('a', 'server', rsa, later);
    assert.ok(key instanceof KeyObject);
    assert.equal(describeKey(key), 'RSA-2048');
    assert.deepEqual(await keys.take('a', 'server', rsa, later), { since: later }, 'the next order');
  });

  test('are not generated any more after the pool was stopped', async () => {
    const { keys, ready, end, sizes } = steppedPool(1);
    for (const owner of ['one/a', 'two/b', 'three/c']) await keys.take(owner, 'server', rsa, now);
    keys.stop();
    await end();
    assert.deepEqual(sizes(), [], 'waiting orders are dropped');
    assert.deepEqual(ready, ['one/a']);
    assert.deepEqual(await keys.take('one/a', 'server', rsa, later), { since: later }, 'the key is discarded');
  });

  test('of other algorithms do not wait for RSA keys, however many are ordered', async () => {
    const { keys, called, ready } = startPool();
    const owners = Array.from({ length: 5 }, (_, i) => `slow-${i}`);
    for (const owner of owners) await keys.take(owner, 'server', rsa, now);
    assert.ok((await keys.take('quick', 'server', ecdsa, now)) instanceof KeyObject);
    assert.ok(called.length < owners.length, 'the RSA keys are still being generated');
    for (const owner of owners) await ready(owner);
    assert.deepEqual(called, owners, 'one after the other, in the order of their requests');
  });

  test('are not generated for a dropped owner, nor in a size that is no longer requested', async () => {
    const { keys, called, ready } = startPool();
    await keys.take('first', 'server', rsa, now);
    await keys.take('gone', 'server', rsa, now);
    await keys.take('other', 'server', { algorithm: 'RSA', size: 8192 }, now);
    await keys.take('other', 'server', rsa, now);
    keys.drop('gone');
    await ready('other');
    const key = await keys.take('other', 'server', rsa, now);
    assert.ok(key instanceof KeyObject);
    assert.equal(describeKey(key), 'RSA-2048');
    assert.deepEqual(called, ['first', 'other']);
  });

  for (const concurrency of [1, 2, 4]) {
    test(`RSA keys take turns by namespace: 15 keys of one delay the key of another by at most one, with ${concurrency} at a time`, async () => {
      const { keys, ready, end, sizes } = steppedPool(concurrency);
      const large: KeySpec = { algorithm: 'RSA', size: 8192 };
      for (let i = 0; i < 5; i += 1) {
        for (const role of ['server', 'client', 'peer']) await keys.take(`greedy/${i}`, role, large, now);
      }
      assert.deepEqual(sizes(), [8192], 'one namespace has one key being generated');
      await keys.take('shop/payments', 'server', rsa, now);
      if (concurrency === 1) await end();
      assert.ok(sizes().includes(2048), `being generated: ${sizes().join()}`);
      await end('finish', sizes().indexOf(2048));
      assert.deepEqual(ready, [...(concurrency === 1 ? ['greedy/0'] : []), 'shop/payments']);
      assert.ok((await keys.take('shop/payments', 'server', rsa, now)) instanceof KeyObject);
      while (sizes().length > 0) {
        assert.deepEqual(sizes(), [8192]);
        await end();
      }
      assert.equal(ready.length, 16, 'every key of the first namespace is generated');
    });
  }

  test('a key that cannot be generated, or whose size changes meanwhile, delays no other key', async () => {
    const { keys, ready, end, sizes } = steppedPool(1);
    const larger: KeySpec = { algorithm: 'RSA', size: 4096 };
    await keys.take('shop/a', 'server', rsa, now);
    await keys.take('shop/a', 'server', larger, now);
    await keys.take('shop/b', 'server', rsa, now);
    await end('fail');
    assert.deepEqual(await keys.take('shop/a', 'server', larger, now), { since: now }, 'the second order is kept');
    assert.deepEqual(sizes(), [4096]);
    await end();
    assert.deepEqual(sizes(), [2048]);
    await end('fail');
    assert.deepEqual(ready, ['shop/a', 'shop/a', 'shop/b']);
    await keys.take('shop/b', 'server', rsa, now);
    assert.deepEqual(sizes(), [2048], 'a second request places a new order');
  });
});
