import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { StandbyRoots } from '../../../../src/controllers/authority/standby-roots.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { KubeError, silentLog } from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { authority } from '../../../support/fixtures/authority.ts';

/** Runs everything that needs no timer. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
};

/** Authorities `a` and `b`, each with its own root Secret. */
async function begin(t: TestContext, { isStarted = true } = {}) {
  const caches = new Caches(() => []);
  const { authorities, rootSecrets } = caches;
  const record = (name: string, resourceVersion: string) =>
    authority({ name, resourceVersion, spec: { ...authority().spec, secretName: `root-${name}` } });
  const rootSecret = (name: string, resourceVersion: string) => ({ namespace: 'x', name, resourceVersion });
  for (const name of ['a', 'b']) authorities.observe(record(name, '1'));
  rootSecrets.observe(rootSecret('root-a', '1'));
  const read: string[] = [];
  const state: { act: (signal: AbortSignal) => Promise<void> } = { act: async () => undefined };
  const refresh = async (name: string, signal: AbortSignal): Promise<void> => {
    read.push(name);
    await state.act(signal);
  };
  const standby = new StandbyRoots({ authorities, rootSecrets, refresh, log: silentLog });
  t.after(() => standby.stop());
  await turns();
  if (isStarted) read.length = 0;
  return { caches, standby, read, state, record, rootSecret };
}

type Begun = Awaited<ReturnType<typeof begin>>;

const changes: Record<string, [act: (begun: Begun) => unknown, read: string[]]> = {
  'a new authority': [({ caches, record }) => caches.authorities.observe(record('c', '2')), ['c']],
  'a changed authority': [({ caches, record }) => caches.authorities.observe(record('a', '2')), ['a']],
  'a deleted authority': [({ caches }) => caches.authorities.observeDeleted({ name: 'a' }, '2'), ['a']],
  'a new root Secret': [({ caches, rootSecret }) => caches.rootSecrets.observe(rootSecret('root-b', '2')), ['b']],
  'a changed root Secret': [({ caches, rootSecret }) => caches.rootSecrets.observe(rootSecret('root-a', '2')), ['a']],
  'a deleted root Secret': [
    ({ caches }) => caches.rootSecrets.observeDeleted({ namespace: 'x', name: 'root-a' }, '2'),
    ['a'],
  ],
  'a Secret that no authority names': [
    ({ caches, rootSecret }) => caches.rootSecrets.observe(rootSecret('other', '2')),
    [],
  ],
};

describe('a standby', () => {
  test('reads every root when it starts', async (t) => {
    const { read } = await begin(t, { isStarted: false });
    assert.deepEqual(read, ['a', 'b']);
  });

  for (const [title, [act, expected]] of Object.entries(changes)) {
    test(`reads the root again for ${title}: ${expected.join() || 'none'}`, async (t) => {
      const begun = await begin(t);
      act(begun);
      await turns();
      assert.deepEqual(begun.read, expected);
    });
  }

  test('retries a failed read', async (t) => {
    const { caches, read, state, record } = await begin(t);
    state.act = async () => {
      state.act = async () => undefined;
      throw new KubeError('Network', 'no answer');
    };
    caches.authorities.observe(record('a', '2'));
    await eventually(() => assert.deepEqual(read, ['a', 'a']));
  });

  test('aborts a read when it stops, and waits until the read has ended', async (t) => {
    const { caches, standby, state, record } = await begin(t);
    const { promise, resolve } = Promise.withResolvers<void>();
    let signal: AbortSignal | undefined;
    state.act = async (aborted) => {
      signal = aborted;
      await promise;
      throw new KubeError('Aborted', 'the signal has aborted');
    };
    caches.authorities.observe(record('a', '2'));
    await turns();
    let hasEnded = false;
    const stop = async (): Promise<void> => {
      await standby.stop();
      hasEnded = true;
    };
    const stopped = stop();
    await turns();
    assert.deepEqual([signal?.aborted, hasEnded], [true, false]);
    resolve();
    await stopped;
  });

  test('leaves no timer behind', async (t) => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    assert.equal(timers(), 0, 'an earlier test left a timer');
    const { caches, standby, state, record } = await begin(t);
    state.act = async () => {
      throw new KubeError('Network', 'no answer');
    };
    caches.authorities.observe(record('a', '2'));
    await turns();
    assert.ok(timers() > 0, 'it would retry');
    await standby.stop();
    assert.equal(timers(), 0);
  });
});
