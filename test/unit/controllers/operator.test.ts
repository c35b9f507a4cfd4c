import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { metricSources } from '../../../src/controllers/metric-sources.ts';
import { authorities } from '../../../src/controllers/objects/resources.ts';
import { KubeError } from '../../../src/kube/index.ts';
import { root } from '../../support/fixtures/roots.ts';
import { first, leading, standby, turns, until } from './world/operator-process.ts';

const [second, third] = [root({ name: 'Second' }), root({ name: 'Third' })];

/** A term that ends as soon as it has begun. */
const atOnce = AbortSignal.abort();

test('a standby keeps its root up to date, also after a term of its own', async (t) => {
  const { operator, replaceRoot, knownRoot } = await standby(t);
  assert.equal(knownRoot(), first.certificate.fingerprint);
  await replaceRoot(second);
  await until(() => assert.equal(knownRoot(), second.certificate.fingerprint));
  await operator.lead(atOnce, atOnce);
  await replaceRoot(third);
  await until(() => assert.equal(knownRoot(), third.certificate.fingerprint));
});

test('a replica that becomes the leader does not use a root that it cannot read', async (t) => {
  const { memory, operator, knownRoot } = await standby(t);
  memory.onRequest = async (request) => {
    if (request.startsWith('find secrets')) throw new KubeError('Network', 'no answer');
  };
  await operator.lead(atOnce, atOnce);
  assert.equal(knownRoot(), undefined);
});

test('a replica that becomes the leader waits for earlier reads, so that they do not overwrite its own', async (t) => {
  const { memory, operator, replaceRoot, knownRoot } = await standby(t);
  const { promise: answer, resolve } = Promise.withResolvers<void>();
  let readings = 0;
  memory.onRequest = async (request, moment) => {
    if (!request.startsWith('find secrets') || moment === 'before') return;
    readings += 1;
    if (readings === 1) await answer;
  };
  await replaceRoot(second);
  await until(() => assert.equal(readings, 1, 'it has read the second root, but has no answer yet'));
  await replaceRoot(third);
  const leading = operator.lead(atOnce, atOnce);
  await turns();
  assert.equal(readings, 1, 'it waits until that read ends');
  resolve();
  await leading;
  assert.equal(knownRoot(), third.certificate.fingerprint);
});

describe('the state of a leader', () => {
  test('does not exist on a standby', async (t) => {
    const { operator, deliverCertificates } = await standby(t);
    await deliverCertificates(20);
    assert.equal(operator.term, undefined);
    const sources = metricSources(operator, () => new Date());
    const samples = [
      ...sources.queueDepth(),
      ...sources.unfinishedWork(),
      ...sources.longestRunning(),
      ...sources.activeWorkers(),
      ...sources.maxWorkers(),
      ...sources.rotationPhase(),
      ...sources.rotationRemaining(),
    ];
    assert.deepEqual(samples, []);
  });

  test('exists only during a term', async (t) => {
    const { operator, deliverCertificates, endTerm } = await leading(t);
    await until(() => assert.equal(operator.term?.controllers[0]?.queued, 0));
    const sources = metricSources(operator, () => new Date());
    assert.deepEqual(
      [...sources.queueDepth()].map(({ labels }) => labels),
      [
        ['authority', 'authority'],
        ['certificate', 'certificate'],
        ['trust', 'trust'],
        ['pods', 'pods'],
      ],
    );
    assert.deepEqual(
      [...sources.maxWorkers()],
      [
        { labels: ['authority'], value: 2 },
        { labels: ['certificate'], value: 4 },
        { labels: ['trust'], value: 4 },
        { labels: ['pods'], value: 4 },
      ],
    );
    const { term } = operator;
    await endTerm();
    assert.equal(operator.term, undefined);
    await deliverCertificates(20);
    const states = term?.controllers.map(({ queued, activeWorkers }) => [queued, activeWorkers]);
    const idle = [0, 0];
    assert.deepEqual(states, [idle, idle, idle, idle], 'an ended term queues and reconciles nothing');
    assert.deepEqual([...sources.queueDepth(), ...sources.activeWorkers()], []);
  });

  test('leaves no subscription behind', async (t) => {
    const { operator } = await standby(t);
    const {
      authorities: watched,
      rootSecrets,
      certificates: served,
      secrets: leaves,
      namespaces: places,
    } = operator.caches;
    let active = 0;
    for (const store of [watched, rootSecrets, served, leaves, places, operator.caches]) {
      const subscribe = store.subscribe.bind(store);
      mock.method(store, 'subscribe', (listener: never) => {
        const unsubscribe = subscribe(listener);
        active += 1;
        return () => {
          active -= 1;
          unsubscribe();
        };
      });
    }
    // The first term, so that only the subscriptions of a standby are left.
    await operator.lead(atOnce, atOnce);
    const standingBy = active;
    for (let term = 0; term < 3; term += 1) await operator.lead(atOnce, atOnce);
    assert.deepEqual([standingBy, active], [2, 2]);
  });
});

test('the default authority is created in a cluster without authorities, and retried while the API server refuses it', async (t) => {
  const { api, memory, operator } = await standby(t, { createDefaultAuthority: true, hasAuthority: false });
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let refusals = 2;
  memory.onRequest = async (request, moment) => {
    if (moment === 'before' && request.startsWith('create mtlsauthorities') && refusals-- > 0)
      throw new KubeError('Forbidden', 'no');
  };
  const leadership = new AbortController();
  const ended = operator.lead(leadership.signal, leadership.signal);
  const find = () => api.find(authorities, { name: 'default' });
  await until(() => assert.equal(refusals, 1));
  assert.equal(find(), undefined);
  await until(() => {
    mock.timers.tick(2000);
    assert.equal(find()?.spec.secretName, 'mtls-root');
  });
  leadership.abort();
  await ended;
});
