import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import type { AuthorityManifest } from '../../../../src/api/manifest.ts';
import { InitialAuthorities } from '../../../../src/controllers/authority/initial-authorities.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { authorities as resource } from '../../../../src/controllers/objects/resources.ts';
import { type KubeErrorCode, silentLog } from '../../../../src/kube/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { MemoryApi } from '../world/memory-api.ts';
import { MemoryClient } from '../world/memory-client.ts';
import { until } from '../world/operator-process.ts';
import { RequestScript } from '../world/request-script.ts';

const never = new AbortController().signal;
const create = 'create mtlsauthorities default';

const manifest = (name: string): AuthorityManifest => ({
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsAuthority',
  metadata: { name, labels: { team: 'pki' }, annotations: { note: 'a' } },
  spec: { secretName: `${name}-root`, root: { commonName: name } },
});

function begin({ createDefault = true, names = [] as string[] } = {}) {
  const api = new MemoryApi();
  const memory = new MemoryClient(api);
  const { requests, before, refuse } = new RequestScript(memory);
  const { authorities } = new Caches(() => []);
  const warnings: unknown[] = [];
  const creator = new InitialAuthorities({
    client: memory.client,
    authorities,
    createDefault,
    manifests: names.map(manifest),
    log: { ...silentLog, warn: (_, fields) => warnings.push(fields) },
  });
  const find = (name: string) => api.find(resource, { name });
  return { api, authorities, creator, requests, before, refuse, warnings, find };
}

describe('the default authority', () => {
  test('is created in a cluster without an authority, and is in the cache before the watch delivers it', async () => {
    const { authorities, creator, requests, find } = begin();
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, [create]);
    assert.deepEqual(find('default')?.spec, { secretName: 'mtls-root', root: {} });
    assert.deepEqual([...authorities.keys()], ['default']);
  });

  test('is not created next to another authority', async () => {
    const { authorities, creator, requests } = begin();
    authorities.observe(authority({ name: 'other' }));
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, []);
  });

  test('is not created next to the authorities of the file', async () => {
    const { creator, requests } = begin({ names: ['a'] });
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, ['create mtlsauthorities a']);
  });

  test('is not created if it is not requested', async () => {
    const { creator, requests } = begin({ createDefault: false });
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, []);
  });

  test('is not created after the leadership was lost', async () => {
    const { creator, requests } = begin();
    assert.equal(await creator.create(AbortSignal.abort()), true);
    assert.deepEqual(requests, []);
  });
});

describe('an authority of the file', () => {
  test('is created as its manifest says, each with one request', async () => {
    const { creator, requests, find } = begin({ names: ['a', 'b'] });
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, ['create mtlsauthorities a', 'create mtlsauthorities b']);
    assert.deepEqual(find('b')?.spec, manifest('b').spec);
    assert.deepEqual(find('b')?.metadata.labels, { team: 'pki' });
    assert.deepEqual(find('b')?.metadata.annotations, { note: 'a' });
  });

  test('is left alone if it exists', async () => {
    const { authorities, creator, requests } = begin({ names: ['a', 'b'] });
    authorities.observe(authority({ name: 'a' }));
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests, ['create mtlsauthorities b']);
  });

  test('is not created again if it is deleted while another one is still missing', async () => {
    const { authorities, creator, requests, refuse } = begin({ names: ['a', 'b'] });
    refuse('create mtlsauthorities b');
    assert.equal(await creator.create(never), false);
    authorities.observeDeleted({ name: 'a' }, '9999');
    assert.equal(await creator.create(never), true);
    assert.deepEqual(requests.slice(2), ['create mtlsauthorities b']);
  });

  test('is retried with growing pauses, without the others, until it is created', async (t) => {
    const { creator, requests, refuse, find } = begin({ names: ['a', 'b'] });
    mock.timers.enable({ apis: ['setTimeout'] });
    t.after(() => mock.timers.reset());
    refuse('create mtlsauthorities b', 'Network', 3);
    assert.equal(await creator.create(never), false);
    const created = creator.createLater(never);
    const waits: number[] = [];
    for (const attempts of [3, 4, 5]) {
      let waitedMs = 0;
      await until(() => {
        mock.timers.tick(100);
        waitedMs += 100;
        assert.equal(requests.length, attempts);
      });
      waits.push(waitedMs);
    }
    await created;
    assert.deepEqual(requests.slice(2), Array(3).fill('create mtlsauthorities b'));
    assert.ok(find('b'));
    const [first = 0, , last = 0] = waits;
    assert.ok(first >= 1000 && last >= 4000, `pauses of ${waits.join(', ')} ms`);
  });
});

describe('the creation of an authority', () => {
  const failures: [code: KubeErrorCode, isDone: boolean, advice?: RegExp][] = [
    ['AlreadyExists', true],
    ['Aborted', true],
    ['Forbidden', false, /^allow the operator to create mtlsauthorities/],
    ['Invalid', false, /^correct the field and restart the operator/],
    ['BadRequest', false, /^correct the field/],
    ['Network', false],
    ['ServerError', false],
  ];
  for (const [code, isDone, advice] of failures) {
    test(`is ${isDone ? 'not ' : ''}retried later after ${code}${advice ? ', and the log says what to do' : ''}`, async () => {
      const { authorities, creator, refuse, warnings } = begin();
      refuse(create, code);
      assert.equal(await creator.create(never), isDone);
      assert.equal(authorities.size, 0);
      assert.equal(warnings.length, isDone ? 0 : 1);
      const { authority: name, advice: shown } = (warnings[0] ?? {}) as Record<string, string | undefined>;
      if (!isDone) assert.equal(name, 'default');
      if (advice === undefined) assert.equal(shown, undefined);
      else assert.match(String(shown), advice);
    });
  }
});
