import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Log, PermittedReflector, Store, type StoreRecord } from '../../../../src/kube/index.ts';
import { begin } from '../../../support/begin.ts';
import { eventually } from '../../../support/eventually.ts';
import { type Exchange, serve } from '../api/fault-server.ts';
import { event, listOf, type Widget, widget, widgets } from '../api/widgets.ts';

const isWatch = ({ query }: Exchange): boolean => query.has('watch');
const forbid = ({ status }: Exchange) => status(403, 'Forbidden');
const list =
  (...names: readonly string[]) =>
  ({ json }: Exchange) =>
    json(
      200,
      listOf(
        5,
        names.map((name) => widget(name, 3)),
      ),
    );

/** A reflector for an API server that answers lists with `answers.list` and watches with `answers.watch`, by default silence. */
async function reflect(
  t: TestContext,
  first: (exchange: Exchange) => void,
  {
    backoffMs = 1,
    streams = false,
    ...options
  }: { backoffMs?: number; streams?: boolean; watchRefusalMs?: number } = {},
) {
  const answers = { list: first, watch: (exchange: Exchange) => exchange.events() };
  const server = await serve(t, (exchange) => (isWatch(exchange) ? answers.watch(exchange) : answers.list(exchange)));
  const logged: string[] = [];
  const permitted: boolean[] = [];
  const write =
    (level: string): Log['info'] =>
    (message) =>
      logged.push(`${level}: ${message}`);
  const store = new Store<StoreRecord>();
  const reflector = new PermittedReflector<Widget, StoreRecord>({
    ...options,
    client: server.client(),
    resource: widgets,
    streams,
    namespace: 'n',
    store: store.part('n'),
    transform: ({ metadata: { namespace, name, resourceVersion } }) => ({ namespace, name, resourceVersion }),
    log: { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') },
    backoff: { baseMs: backoffMs, maxMs: backoffMs },
    onPermitted: (isPermitted) => permitted.push(isPermitted),
  });
  t.after(begin((signal) => reflector.run(signal)));
  return { server, answers, store, reflector, logged, permitted };
}

test('a collection that may be read is cached like any other', async (t) => {
  const { store, reflector, permitted, logged } = await reflect(t, list('a'));
  assert.equal(await reflector.synced, true);
  assert.deepEqual([[...store.keys()], permitted, logged], [['n/a'], [true], []]);
});

test('a collection that may not be read counts as synced after three refusals, which are logged once', async (t) => {
  const { server, reflector, permitted, logged } = await reflect(t, forbid);
  assert.equal(await reflector.synced, true);
  assert.equal(server.exchanges.length, 3);
  await eventually(() => assert.ok(server.exchanges.length >= 6, 'it is not tried again'));
  assert.deepEqual([reflector.hasSynced, permitted], [false, [false]]);
  assert.deepEqual(logged, ['warn: the API server forbids this list or watch; it is tried again']);
});

test('a single refusal of an API server that has just started is not believed', async (t) => {
  const { reflector, permitted } = await reflect(t, (exchange) =>
    exchange.number === 1 ? forbid(exchange) : list('a')(exchange),
  );
  await reflector.synced;
  assert.deepEqual(permitted, [true]);
});

test('an API server that fails in another way is waited for', async (t) => {
  const { answers, server, reflector, permitted } = await reflect(t, ({ status }) => status(500, 'InternalError'));
  await eventually(() => assert.ok(server.exchanges.length >= 5));
  assert.deepEqual(permitted, []);
  answers.list = list();
  await reflector.synced;
  assert.deepEqual(permitted, [true]);
});

test('a collection is listed once it may be read', async (t) => {
  const { answers, store, reflector, permitted, logged } = await reflect(t, forbid);
  await reflector.synced;
  answers.list = list('a');
  await eventually(() => assert.deepEqual([[...store.keys()], permitted], [['n/a'], [false, true]]));
  assert.equal(logged.at(-1), 'info: the API server permits this list and watch now');
});

test('a single refusal later is not believed, however many there were before', async (t) => {
  const { server, answers, permitted } = await reflect(t, forbid);
  await eventually(() => assert.deepEqual(permitted, [false]));
  let refusals = 1;
  answers.list = list('a');
  await eventually(() => assert.ok(server.exchanges.some(isWatch)));
  answers.list = (exchange) => {
    refusals -= 1;
    if (refusals >= 0) forbid(exchange);
    else list('a')(exchange);
  };
  server.exchanges.findLast(isWatch)?.events(event('ERROR', { kind: 'Status', code: 403, reason: 'Forbidden' }));
  await eventually(() => assert.equal(server.exchanges.filter(isWatch).length, 2));
  assert.deepEqual(permitted, [false, true]);
});

test('records stay while the right is missing, and are listed again when it is back', async (t) => {
  const { server, answers, store, permitted } = await reflect(t, list('a', 'b'));
  await eventually(() => assert.ok(server.exchanges.some(isWatch)));
  answers.list = forbid;
  server.exchanges.findLast(isWatch)?.events(event('ERROR', { kind: 'Status', code: 403, reason: 'Forbidden' }));
  await eventually(() => assert.deepEqual(permitted, [true, false]));
  assert.deepEqual([...store.keys()], ['n/a', 'n/b']);
  answers.list = list('b');
  await eventually(() => assert.deepEqual([[...store.keys()], permitted], [['n/b'], [true, false, true]]));
});

test('a collection that may be listed and not watched is reported as forbidden until its watch is permitted', async (t) => {
  // Longer than this test: a busy machine may take a second for the answer to a watch.
  const options = { streams: true, watchRefusalMs: 600_000 };
  const { server, answers, store, reflector, logged, permitted } = await reflect(t, list('a'), options);
  answers.watch = forbid;
  await eventually(() => assert.deepEqual(permitted, [true, false]));
  await eventually(() => assert.ok(server.exchanges.length >= 30));
  assert.deepEqual([await reflector.synced, [...store.keys()], permitted], [true, ['n/a'], [true, false]]);
  assert.deepEqual(logged, ['warn: the API server forbids this list or watch; it is tried again']);
  answers.watch = (exchange) =>
    exchange.query.has('sendInitialEvents') ? forbid(exchange) : exchange.events(event('ADDED', widget('b', 6)));
  await eventually(() => assert.deepEqual(permitted, [true, false, true]));
});

test('a silent watch is permitted if the API server has not refused it in time', async (t) => {
  const { server, answers, permitted } = await reflect(t, list('a'), { watchRefusalMs: 10 });
  await eventually(() => assert.ok(server.exchanges.some(isWatch)));
  answers.watch = forbid;
  server.exchanges.find(isWatch)?.events(event('ERROR', { kind: 'Status', code: 403, reason: 'Forbidden' }));
  await eventually(() => assert.equal(permitted.at(-1), false));
  answers.watch = ({ events }) => events();
  await eventually(() => assert.equal(permitted.at(-1), true));
});

test('a list in the form of a watch that is refused is not worth a line in the log', async (t) => {
  const { answers, reflector, logged } = await reflect(t, forbid, { streams: true });
  answers.watch = forbid;
  await reflector.synced;
  assert.deepEqual(logged, ['warn: the API server forbids this list or watch; it is tried again']);
});

test('the pause after a refusal ends when the caller asks to retry', async (t) => {
  const { server, answers, reflector, permitted } = await reflect(t, forbid, { backoffMs: 3_600_000 });
  await eventually(() => assert.equal(server.exchanges.length, 1));
  // The pause begins after the answer.
  for (let wanted = 2; wanted <= 3; wanted += 1) {
    await eventually(() => {
      reflector.retry();
      assert.ok(server.exchanges.length >= wanted);
    });
  }
  answers.list = list('a');
  await eventually(() => {
    reflector.retry();
    assert.ok(reflector.hasSynced);
  });
  assert.equal(permitted.at(-1), true);
});
