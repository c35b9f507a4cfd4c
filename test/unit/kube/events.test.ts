import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type EventNote, EventRecorder } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';
import { type Exchange, type FaultServer, serve } from './fault-server.ts';

const about = (name: string): EventNote['regarding'] => ({
  apiVersion: 'example.org/v1',
  kind: 'Widget',
  namespace: 'n',
  name,
  uid: name,
});

const note = (name: string, text = 'made it'): EventNote => ({
  regarding: about(name),
  type: 'Normal',
  reason: 'Made',
  action: 'Make',
  note: text,
});

async function recorder(
  t: TestContext,
  answer: (exchange: Exchange) => void = ({ json }) => json(201, { metadata: {} }),
): Promise<{
  server: FaultServer;
  events: EventRecorder;
  clock: { now: number };
  bodies: () => Record<string, unknown>[];
}> {
  const server = await serve(t, answer);
  const clock = { now: 0 };
  const names = { reportingController: 'example.org/test', reportingInstance: 'pod-1' };
  const events = new EventRecorder({ client: server.client(), ...names, now: () => clock.now });
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
  const body = bodies().find(({ regarding }) => (regarding as EventNote['regarding']).name === 'a');
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

test('the same event is not said again for a while, another is', async (t) => {
  const { server, events, clock } = await recorder(t);
  for (let count = 0; count < 5; count += 1) events.record(note('a'));
  events.record(note('a', 'made another'));
  clock.now += 600_000;
  events.record(note('a'));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 3);
});

test('one object gets 25 events at once and then one every five minutes; the others are not concerned', async (t) => {
  const { server, events, clock } = await recorder(t);
  for (let count = 0; count < 100; count += 1) events.record(note('a', `made ${count}`));
  events.record(note('b'));
  clock.now += 300_000;
  events.record(note('a', 'much later'));
  events.record(note('a', 'and again'));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 25 + 1 + 1);
});

test('failures are nobody else’s trouble', async (t) => {
  const { server, events } = await recorder(t, (exchange) => {
    if (exchange.number % 2 === 0) exchange.status(403, 'Forbidden');
    else exchange.reset();
  });
  for (let count = 0; count < 10; count += 1) events.record(note(`w${count}`));
  await events.flush(10_000);
  assert.equal(server.exchanges.length, 10);
});

test('no more than two are written at a time, and a flush ends in time although the server does not answer', async (t) => {
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

test('long names and notes are cut to what the API server takes, between characters', async (t) => {
  const { events, bodies } = await recorder(t);
  events.record(note('a'.repeat(253), 'ä€😀'.repeat(300)));
  await events.flush(10_000);
  const [body] = bodies() as { note: string; metadata: { name: string } }[];
  assert.ok(body && Buffer.byteLength(body.note) <= 1024 && Buffer.byteLength(body.note) > 1000);
  assert.match(body.note, /^(ä€😀)+(ä€?)?…$/u);
  assert.ok(body.metadata.name.length <= 253);
});
