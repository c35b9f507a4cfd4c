import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { secrets } from '../../../../src/kube/index.ts';
import { testApiContract } from '../../../support/api-contract.ts';
import { Crash, MemoryApi } from './memory-api.ts';

describe('the API server in memory', () => {
  testApiContract(async () => {
    const api = new MemoryApi();
    api.clock = () => new Date('2026-03-01T12:00:00Z');
    return { client: api.client, namespace: 'contract' };
  });
});

describe('the API server in memory, in tests of the operator,', () => {
  const ref = { namespace: 'shop', name: 'a' };

  // If this fails: no simulation notices a write that could overwrite the work of another client.
  test('refuses a change or deletion without a precondition from the operator, but not from users', async () => {
    const api = new MemoryApi();
    await api.create(secrets, { metadata: ref });
    const patch = () => api.mergePatch(secrets, ref, { data: { one: 'MQ==' } });
    const remove = () => api.delete(secrets, ref);
    await assert.rejects(patch(), /patch of secrets shop\/a without a precondition/);
    await assert.rejects(remove(), /delete of secrets shop\/a without a precondition/);
    await api.byHand(patch);
    await api.byHand(remove);
    assert.deepEqual(api.all('secrets'), []);
  });

  for (const lostReply of [false, true]) {
    test(`stops its client at a write, ${lostReply ? 'after' : 'before'} the write takes effect`, async () => {
      const api = new MemoryApi();
      const { metadata } = await api.create(secrets, { metadata: ref });
      const { uid, resourceVersion } = metadata;
      const crashed = async (act: () => Promise<unknown>) => {
        api.budget = { writes: 0, lostReply };
        await assert.rejects(act(), Crash);
        api.budget = { writes: Number.POSITIVE_INFINITY, lostReply: false };
      };
      await crashed(() => api.create(secrets, { metadata: { ...ref, name: 'b' } }));
      assert.equal(api.all('secrets').length, lostReply ? 2 : 1);
      await crashed(() => api.mergePatch(secrets, ref, { metadata: { resourceVersion }, data: { one: 'MQ==' } }));
      assert.deepEqual(api.find(secrets, ref)?.data, lostReply ? { one: 'MQ==' } : undefined);
      await crashed(() => api.delete(secrets, ref, { uid }));
      assert.equal(api.find(secrets, ref) === undefined, lostReply);
    });
  }
});
