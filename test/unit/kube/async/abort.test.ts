import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  aborted,
  Controller,
  LeaderElector,
  OptionalReflector,
  onAbort,
  Reflector,
  Store,
  silentLog,
  sleep,
  WorkQueue,
} from '../../../../src/kube/index.ts';
import { serve } from '../api/fault-server.ts';
import { type Widget, widgets } from '../api/widgets.ts';

describe('a listener on a signal', () => {
  test('is called when the signal aborts, once', () => {
    const controller = new AbortController();
    let calls = 0;
    onAbort(controller.signal, () => (calls += 1));
    assert.equal(calls, 0);
    controller.abort();
    controller.abort();
    assert.equal(calls, 1);
  });

  test('is called at once when the signal has aborted already', () => {
    let calls = 0;
    onAbort(AbortSignal.abort(), () => (calls += 1));
    assert.equal(calls, 1);
  });

  test('is not called after it was removed, nor without a signal', () => {
    const controller = new AbortController();
    const stopListening = onAbort(controller.signal, () => assert.fail('it was removed'));
    stopListening();
    controller.abort();
    onAbort(undefined, () => assert.fail('there is no signal'))();
  });

  test('is available as a promise', async () => {
    const controller = new AbortController();
    const waiting = aborted(controller.signal);
    controller.abort();
    await waiting;
    await aborted(controller.signal);
  });
});

describe('with a signal that has aborted already,', () => {
  const signal = AbortSignal.abort();

  test('sleep resolves at once', () => sleep(600_000, signal));

  test('a queue returns no key', async () => assert.equal(await new WorkQueue().get(signal), undefined));

  test('a controller ends', () =>
    new Controller({
      name: 'test',
      queue: new WorkQueue(),
      workers: 2,
      reconcile: () => assert.fail('it has ended'),
      log: silentLog,
    }).run(signal));

  for (const Kind of [Reflector, OptionalReflector]) {
    test(`a ${Kind.name} ends without a request`, async (t) => {
      const server = await serve(t, () => assert.fail('it has ended'));
      const reflector = new Kind<Widget, { namespace: string; name: string; resourceVersion: string }>({
        client: server.client(),
        resource: widgets,
        transform: ({ metadata: { namespace = '', name, resourceVersion } }) => ({ namespace, name, resourceVersion }),
        store: new Store(),
        log: silentLog,
      });
      await reflector.run(signal);
      assert.equal(await reflector.synced, false);
    });
  }

  test('an elector ends without a request', async (t) => {
    const server = await serve(t, () => assert.fail('it has ended'));
    const lease = { namespace: 'n', name: 'l' };
    const elector = new LeaderElector({ client: server.client(), lease, identity: 'me', log: silentLog });
    await elector.run(signal, () => assert.fail('it does not lead'));
  });
});
