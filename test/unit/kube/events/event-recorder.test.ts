import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type EventDetails,
  EventRecorder,
  type EventRecorderOptions,
  type Log,
  silentLog,
} from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { type Exchange, type FaultServer, serve } from '../api/fault-server.ts';

const about = (name: string): EventDetails['regarding'] => ({
  apiVersion: 'example.org/v1',
  kind: 'Widget',
  namespace: 'n',
  name,
  uid: name,
});

const note = (name: string, text = 'made it'): EventDetails => ({
  regarding: about(name),
  type: 'Normal',
  reason: 'Made',
  action: 'Make',
  note: text,
});

const noteIn = (namespace: string, one: EventDetails): EventDetails => ({
  ...one,
  regarding: { ...one.regarding, namespace },
});

/** A clock that moves only when `advance` is called. */
class ManualClock {
  now = 0;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  get sleepers(): number {
    return this.#sleepers.length;
  }

  readonly sleep = (ms: number): Promise<void> =>
    new Promise((wake) => {
      this.#sleepers.push({ at: this.now + ms, wake });
    });

  advance(ms: number): void {
    this.now += ms;
    const due = this.#sleepers.filter(({ at }) => at <= this.now);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.now);
    for (const { wake } of due) wake();
  }
}

interface Recorded {
  readonly server: FaultServer;
  readonly events: EventRecorder;
  readonly clock: ManualClock;
  readonly bodies: () => Record<string, unknown>[];
}

async function recorder(
  t: TestContext,
  answer: (exchange: Exchange) => void = ({ json }) => json(201, { metadata: {} }),
  options: Partial<EventRecorderOptions> = {},
): Promise<Recorded> {
  const server = await serve(t, answer);
  const clock = new ManualClock();
  const names = { reportingController: 'example.org/test', reportingInstance: 'pod-1' };
  const { sleep } = clock;
  const events = new EventRecorder({ client: server.client(), ...names, now: () => clock.now, sleep, ...options });
  return { server, events, clock, bodies: () => server.exchanges.map(({ body }) => JSON.parse(body)) };
}

test('an event is written into the namespace of its object, or into default for one that has none', async (t) => {
  const { server, events, bodies } = await recorder(t);
  events.record(note('a'));
  events.record({ ...note('b'), regarding: { apiVersion: 'v1', kind: 'Namespace', name: 'b' } });
  await events.flush(10_000);
  const paths = server.exchanges.map(({ path }) => path).sort();
  assert.deepEqual(
    paths,
    ['default', 'n'].map((ns) => `/apis/events.k8s.io/v1/namespaces/${ns}/events`),
  );
  const body = bodies().find(({ regarding }) => (regarding as EventDetails['regarding']).name === 'a');
  assert.partialDeepStrictEqual(body, {
    reportingController: 'example.org/test',
    reportingInstance: 'pod-1',
    reason: 'Made',
    action: 'Make',
    type: 'Normal',
    note: 'made it',
    regarding: about('a'),
  });
});

test('a repeated event is written again only after ten minutes, another event at once', async (t) => {
  const { server, events, clock } = await recorder(t);
  for (let count = 0; count < 5; count += 1) events.record(note('a'));
  events.record(note('a', 'made another'));
  clock.now += 600_000;
  events.record(note('a'));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 3);
});

test('one object gets 25 events at once and then one every five minutes, whatever the events of other objects', async (t) => {
  const { server, events, clock } = await recorder(t);
  for (let count = 0; count < 100; count += 1) events.record(note('a', `made ${count}`));
  events.record(note('b'));
  clock.now += 300_000;
  events.record(note('a', 'much later'));
  events.record(note('a', 'and again'));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 25 + 1 + 1);
});

test('a failed write does not affect later events', async (t) => {
  const { server, events } = await recorder(t, (exchange) => {
    if (exchange.number % 2 === 0) exchange.status(403, 'Forbidden');
    else exchange.reset();
  });
  for (let count = 0; count < 10; count += 1) events.record(note(`w${count}`));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 10);
});

test('at most two events are written at the same time, and a flush ends in time if the server does not answer', async (t) => {
  let answers = false;
  const { server, events } = await recorder(t, ({ json }) => {
    if (answers) json(201, { metadata: {} });
  });
  for (let count = 0; count < 10; count += 1) events.record(note(`w${count}`));
  await eventually(() => assert.equal(server.exchanges.length, 2));
  await events.flush(100);
  answers = true;
  events.record(note('after'));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 3);
});

test('long names and notes are truncated to the limits of the API server, between characters', async (t) => {
  const { events, bodies } = await recorder(t);
  events.record(note('a'.repeat(253), 'ä€😀'.repeat(300)));
  await events.flush(10_000);
  const [body] = bodies() as { note: string; metadata: { name: string } }[];
  assert.ok(body && Buffer.byteLength(body.note) <= 1024 && Buffer.byteLength(body.note) > 1000);
  assert.match(body.note, /^(ä€😀)+(ä€?)?…$/u);
  assert.ok(body.metadata.name.length <= 253);
});

const warning = (name: string): EventDetails => ({ ...note(name), type: 'Warning' });

test('events are written slowly while there is other work, warnings first, and at full speed afterwards', async (t) => {
  let isBusy = true;
  const { server, events, clock, bodies } = await recorder(t, undefined, { isBusy: () => isBusy });
  const written = (): unknown[] => bodies().map(({ regarding }) => (regarding as EventDetails['regarding']).name);
  /** Both writers wait, so that no write is in progress. */
  const bothWait = (): Promise<void> => eventually(() => assert.equal(clock.sleepers, 2));
  for (let count = 0; count < 30; count += 1) events.record(note(`n${count}`));
  await bothWait();
  assert.deepEqual(written(), ['n0']);
  events.record(warning('w0'));
  events.record(warning('w1'));
  clock.advance(99);
  assert.deepEqual(written(), ['n0']);
  for (const expected of ['w0', 'w1']) {
    clock.advance(1);
    await bothWait();
    assert.equal(written().at(-1), expected);
    clock.advance(99);
  }
  for (let count = 0; count < 5; count += 1) {
    clock.advance(100);
    await bothWait();
  }
  assert.equal(server.exchanges.length, 1 + 2 + 5);
  isBusy = false;
  clock.advance(100);
  await eventually(() => assert.equal(server.exchanges.length, 32));
  assert.equal(clock.sleepers, 0);
});

test('normal events are written even during a steady stream of warnings', async (t) => {
  const { events, clock, bodies } = await recorder(t, undefined, { isBusy: () => true });
  for (let count = 0; count < 5; count += 1) events.record(note(`n${count}`));
  for (let count = 0; count < 100; count += 1) events.record(warning(`w${count}`));
  for (let count = 0; count < 24; count += 1) {
    await eventually(() => assert.equal(clock.sleepers, 2));
    clock.advance(100);
  }
  await eventually(() => assert.equal(clock.sleepers, 2));
  const normal = bodies().filter(({ type }) => type === 'Normal');
  assert.equal(normal.length, 5);
});

test('a flush does not wait for other work to end', async (t) => {
  const { server, events, clock } = await recorder(t, undefined, { isBusy: () => true });
  for (let count = 0; count < 10; count += 1) events.record(note(`w${count}`));
  await eventually(() => assert.equal(clock.sleepers, 2));
  const flushed = events.flush(10_000);
  clock.advance(100);
  await flushed;
  assert.equal(server.exchanges.length, 10);
});

test('events beyond the limit are dropped and logged once, and a warning replaces a normal event', async (t) => {
  const lines: string[] = [];
  const keep = (message: string, fields = {}): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { ...silentLog, info: keep, warn: keep };
  const { events, clock, bodies } = await recorder(t, undefined, { log, isBusy: () => true });
  for (let count = 0; count < 20_000; count += 1) events.record(noteIn(`shop-${count % 3}`, note(`n${count}`)));
  for (let count = 0; count < 5; count += 1) events.record(warning(`w${count}`));
  assert.deepEqual(lines, ['too many events are waiting; further events are dropped {"waiting":1000}']);
  const flushed = events.flush(60_000);
  clock.advance(100);
  await flushed;
  const written = bodies();
  assert.equal(written.length, 1000);
  assert.equal(written.filter(({ type }) => type === 'Warning').length, 5);
  assert.deepEqual(lines.slice(1), ['events were dropped {"dropped":19005}']);
  // A dropped event does not count as written, so it can be written now.
  events.record(note('n19999'));
  await events.flush(60_000);
  assert.equal(bodies().length, 1001);
});

test('events of one namespace take at most half of the queue', async (t) => {
  const { events, clock, bodies } = await recorder(t, undefined, { isBusy: () => true });
  for (let count = 0; count < 2000; count += 1) events.record(noteIn('hostile', warning(`h${count}`)));
  for (let count = 0; count < 25; count += 1) events.record(noteIn('victim', note(`v${count}`)));
  const flushed = events.flush(60_000);
  clock.advance(100);
  await flushed;
  const of = (prefix: string): number =>
    bodies().filter((body) => (body['regarding'] as { name: string }).name.startsWith(prefix)).length;
  assert.deepEqual([of('h'), of('v')], [500, 25]);
});

test('a long name of the reporting instance is truncated to the limit of the API server', async (t) => {
  const { events, bodies } = await recorder(t, undefined, { reportingInstance: 'p'.repeat(200) });
  events.record(note('a'));
  await events.flush(10_000);
  assert.equal(bodies()[0]?.['reportingInstance'], 'p'.repeat(128));
});
