import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DefaultAuthority } from '../../../../src/controllers/authority/default-authority.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { authorities as resource } from '../../../../src/controllers/objects/resources.ts';
import { type KubeErrorCode, silentLog } from '../../../../src/kube/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { MemoryApi } from '../world/memory-api.ts';
import { MemoryClient } from '../world/memory-client.ts';
import { RequestScript } from '../world/request-script.ts';

const never = new AbortController().signal;
const create = 'create mtlsauthorities default';

function begin() {
  const api = new MemoryApi();
  const memory = new MemoryClient(api);
  const { requests, before, refuse } = new RequestScript(memory);
  const { authorities } = new Caches(() => []);
  const creator = new DefaultAuthority({ client: memory.client, authorities, log: silentLog });
  return { api, authorities, creator, requests, before, refuse };
}

describe('the default authority', () => {
  test('is created in a cluster without an authority, and is in the cache before the watch delivers it', async () => {
    const { api, authorities, creator, requests } = begin();
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, [create]);
    assert.deepEqual(api.find(resource, { name: 'default' })?.spec, { secretName: 'mtls-root', root: {} });
    assert.deepEqual([...authorities.keys()], ['default']);
  });

  test('is not created next to another authority', async () => {
    const { authorities, creator, requests } = begin();
    authorities.observe(authority({ name: 'other' }));
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, []);
  });

  test('is not created after the leadership was lost', async () => {
    const { creator, requests } = begin();
    assert.equal(await creator.create(AbortSignal.abort()), true);
    assert.deepEqual(requests, []);
  });

  const failures: [code: KubeErrorCode, isDone: boolean][] = [
    ['AlreadyExists', true],
    ['Aborted', true],
    ['Forbidden', false],
    ['Network', false],
    ['ServerError', false],
  ];
  for (const [code, isDone] of failures) {
    test(`is ${isDone ? 'not ' : ''}retried later after ${code}`, async () => {
      const { authorities, creator, refuse } = begin();
      refuse(create, code);
      assert.equal(await creator.create(never), isDone);
      assert.equal(authorities.size, 0);
    });
  }
});
