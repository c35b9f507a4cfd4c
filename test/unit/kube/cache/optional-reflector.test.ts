import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Log, OptionalReflector, Store, type StoreRecord } from '../../../../src/kube/index.ts';
import { begin } from '../../../support/begin.ts';
import { eventually } from '../../../support/eventually.ts';
import { type Exchange, type FaultServer, serve } from '../api/fault-server.ts';
import { event, listOf, type Widget, widget, widgets } from '../api/widgets.ts';

interface Reflected {
  readonly server: FaultServer;
  readonly store: Store<StoreRecord>;
  readonly reflector: OptionalReflector<Widget, StoreRecord>;
  readonly logged: string[];
  readonly served: boolean[];
}

/** A reflector for an API server that answers every request except watches with `answer`. Watches stay open. */
async function reflect(t: TestContext, answer: (exchange: Exchange) => void, recheckMs = 5): Promise<Reflected> {
  const server = await serve(t, (exchange) => {
    if (exchange.query.has('watch')) exchange.events();
    else answer(exchange);
  });
  const logged: string[] = [];
  const served: boolean[] = [];
  const write: Log['info'] = (message) => logged.push(message);
  const store = new Store<StoreRecord>();
  const reflector = new OptionalReflector<Widget, StoreRecord>({
    client: server.client(),
    resource: widgets,
    store,
    transform: ({ metadata: { namespace, name, resourceVersion } }) => ({ namespace, name, resourceVersion }),
    log: { debug: write, info: write, warn: write, error: write },
    backoff: { baseMs: 1, maxMs: 5 },
    recheckMs,
    onServed: (isServed) => served.push(isServed),
  });
  t.after(begin((signal) => reflector.run(signal)));
  return { server, store, reflector, logged, served };
}

const isWatch = ({ query }: Exchange): boolean => query.has('watch');

test('a kind that is served is cached like any other', async (t) => {
  const { store, reflector, served } = await reflect(t, ({ json }) => json(200, listOf(5, [widget('a', 3)])));
  assert.equal(reflector.isServed, undefined);
  assert.equal(await reflector.synced, true);
  assert.deepEqual([[...store.keys()], reflector.isServed, served], [['n/a'], true, [true]]);
});

test('a kind that is not served counts as synced, is checked again, and is not logged as an error', async (t) => {
  const { server, store, reflector, logged, served } = await reflect(t, ({ status }) => status(404, 'NotFound'));
  assert.equal(await reflector.synced, true);
  assert.equal(reflector.isServed, false);
  await eventually(() => assert.ok(server.exchanges.length >= 3, 'it is not asked for again'));
  assert.deepEqual([store.size, logged, served], [0, [], [false]]);
  assert.ok(server.exchanges.every((exchange) => !isWatch(exchange) && exchange.query.get('limit') === '1'));
});

test('a kind is cached as soon as the API server serves it', async (t) => {
  let isThere = false;
  const { server, store, reflector, served } = await reflect(t, ({ json, status }) =>
    isThere ? json(200, listOf(5, [widget('a', 3)])) : status(404, 'NotFound'),
  );
  await reflector.synced;
  isThere = true;
  await eventually(() => assert.deepEqual([store.size, served], [1, [false, true]]));
  await eventually(() => assert.ok(server.exchanges.some(isWatch), 'it is not watched'));
});

test('a kind that is no longer served is removed from the store', async (t) => {
  let isThere = true;
  const { server, store, reflector, served } = await reflect(t, ({ json, status }) =>
    isThere ? json(200, listOf(5, [widget('a', 3)])) : status(404, 'NotFound'),
  );
  await reflector.synced;
  await eventually(() => assert.ok(server.exchanges.some(isWatch), 'it is not watched'));
  isThere = false;
  // The resourceVersion has expired, so the reflector lists again.
  const gone = { kind: 'Status', code: 410, reason: 'Expired' };
  server.exchanges.find(isWatch)?.events(event('ERROR', gone));
  await eventually(() => assert.deepEqual([store.size, reflector.isServed, served], [0, false, [true, false]]));
});

test('a kind stays in the cache while its watch is broken, refused or expired', async (t) => {
  const { server, store, served } = await reflect(t, ({ json }) => json(200, listOf(5, [widget('a', 3)])));
  const changes: unknown[] = [];
  await eventually(() => assert.equal(server.exchanges.filter(isWatch).length, 1));
  store.subscribe((_, after) => changes.push(after?.name));
  const errors = [
    { code: 500, reason: 'InternalError' },
    { code: 403, reason: 'Forbidden' },
    { code: 410, reason: 'Expired' },
  ];
  for (const [nth, error] of errors.entries()) {
    server.exchanges.findLast(isWatch)?.events(event('ERROR', error));
    await eventually(() => assert.equal(server.exchanges.filter(isWatch).length, nth + 2));
  }
  server.exchanges.findLast(isWatch)?.reset();
  await eventually(() => assert.equal(server.exchanges.filter(isWatch).length, errors.length + 2));
  assert.deepEqual([store.size, served, changes], [1, [true], []]);
});

test('an API server that answers with an error is asked again', async (t) => {
  const { reflector, logged } = await reflect(t, ({ json, status, number }) => {
    if (number <= 3) status(500, 'InternalError');
    else json(200, listOf(5, []));
  });
  assert.equal(await reflector.synced, true);
  assert.equal(reflector.isServed, true);
  assert.equal(logged.length, 3);
});
