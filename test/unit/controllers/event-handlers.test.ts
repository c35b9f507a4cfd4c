import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Issuance, LabelSelector } from '../../../src/api/types.ts';
import { Caches } from '../../../src/controllers/cache/caches.ts';
import { EventHandlers } from '../../../src/controllers/event-handlers.ts';
import { WorkQueue } from '../../../src/kube/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import * as fc from '../../support/properties.ts';

type Labels = Readonly<Record<string, string>>;

/** Takes all keys out of a queue, in order. */
async function inOrder(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.length > 0) {
    const key = (await queue.get()) ?? '';
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

const taken = async (queue: WorkQueue): Promise<string[]> => (await inOrder(queue)).sort();

/**
 * Caches with the namespaces `shop` and `other`. Each has a certificate of the authority `granting`, which has this issuance, and
 * one of the authority `plain`.
 */
async function world(issuance: Issuance) {
  const caches = new Caches(() => []);
  const queues = {
    authority: new WorkQueue(),
    certificate: new WorkQueue(),
    trust: new WorkQueue(),
    pods: new WorkQueue(),
  };
  const eventHandlers = new EventHandlers(caches, queues);
  let revision = 0;
  const next = () => ({ resourceVersion: String(++revision) });
  const { spec } = authority();
  caches.authorities.observe({ ...authority({ name: 'granting', spec: { ...spec, issuance } }), ...next() });
  caches.authorities.observe({ ...authority({ name: 'plain' }), ...next() });
  const label = (name: string, labels: Labels, terminating = false) =>
    caches.namespaces.observe({ name, labels, terminating, ...next() });
  for (const namespace of ['shop', 'other']) {
    label(namespace, {});
    for (const name of ['granting', 'plain']) {
      const { record } = certificate().asking({ authorityRef: { name } });
      caches.certificates.observe({ ...record, namespace, name, uid: `${namespace}/${name}`, ...next() });
    }
  }
  const certificates = () => taken(queues.certificate);
  await certificates();
  return { caches, queues, eventHandlers, label, certificates, next };
}

describe('a replica that becomes the leader', () => {
  // If this fails: after a fail-over, a new request waits until every unchanged certificate is reconciled.
  test('reconciles everything, but first the resources that change after that', async () => {
    const { caches, queues, eventHandlers, next } = await world({});
    for (const name of ['a', 'b', 'c']) {
      caches.certificates.observe({ ...certificate().record, namespace: 'shop', name, uid: name, ...next() });
    }
    eventHandlers.all();
    caches.certificates.observe({ ...certificate().record, namespace: 'shop', name: 'c', uid: 'c', ...next() });
    const order = await inOrder(queues.certificate);
    assert.deepEqual(order.toSorted(), [
      'other/granting',
      'other/plain',
      ...'a b c granting plain'.split(' ').map((name) => `shop/${name}`),
    ]);
    assert.equal(
      order.find((key) => key.startsWith('shop/')),
      'shop/c',
    );
  });
});

describe('an authority that changes', () => {
  const grant = { namespaceSelector: {}, dnsNames: ['*.example.com'] };
  const users = ['other/granting', 'shop/granting'];
  const rows: [title: string, spec: object, affected: string[]][] = [
    ['gets new grants', { issuance: { allow: [grant] } }, users],
    ['limits durations', { issuance: { maxDuration: '24h' } }, users],
    ['gets another trust domain', { trustDomain: 'x' }, users],
    ['gets another cluster domain', { clusterDomain: 'x' }, users],
    ['does not change', {}, []],
    ['only changes its rotation settings', { rotation: { ...authority().spec.rotation, approval: 'Manual' } }, []],
  ];
  for (const [title, changes, affected] of rows) {
    test(`queues ${affected.length === 0 ? 'nothing' : 'its own certificates'} when it ${title}`, async () => {
      const { caches, certificates, next } = await world({});
      const { spec } = authority();
      caches.authorities.observe({
        ...authority({ name: 'granting', spec: { ...spec, issuance: {}, ...changes } }),
        ...next(),
      });
      assert.deepEqual(await certificates(), affected);
    });
  }
});

describe('requests to revoke', () => {
  // If this fails: one tenant can make the operator parse a root Secret with thousands of revocations as often as it likes.
  test('queue the authority at once for the first, and once for all that follow within 5 s', async () => {
    const { caches, queues, next } = await world({});
    await taken(queues.authority);
    const ask = (revokeToken: string) =>
      caches.certificates.observe({
        ...certificate().asking({ authorityRef: { name: 'plain' } }).record,
        namespace: 'shop',
        name: 'plain',
        uid: 'shop/plain',
        revokeToken,
        ...next(),
      });
    ask('first');
    assert.deepEqual(await taken(queues.authority), ['plain']);
    for (let i = 0; i < 20; i += 1) ask(`more-${i}`);
    assert.deepEqual(await taken(queues.authority), []);
    for (const queue of Object.values(queues)) queue.shutDown();
  });
});

describe('a request to revoke', () => {
  const moments = fc.array(
    fc.oneof(
      fc.constant({ what: 'ask' } as const),
      fc.nat({ max: 6000 }).map((ms) => ({ what: 'wait', ms }) as const),
      // Other events that queue the authority after a delay.
      fc.nat({ max: 6000 }).map((ms) => ({ what: 'other', ms }) as const),
    ),
    { maxLength: 30 },
  );

  // If this fails: a request waits for the next request, or until the CRL is renewed.
  test('has the authority reconciled within 5 s, and requests alone do so at most once in 5 s', () => {
    fc.assert(
      fc.property(moments, (history) => {
        const clock = new ManualClock();
        const caches = new Caches(() => [], clock.now);
        const authorities = new WorkQueue({ clock });
        const eventHandlers = new EventHandlers(caches, {
          authority: authorities,
          certificate: new WorkQueue({ clock }),
          trust: new WorkQueue({ clock }),
          pods: new WorkQueue({ clock }),
        });
        const askedAt: number[] = [];
        const readAt: number[] = [];
        const read = (): void => {
          for (; authorities.length > 0; authorities.done('plain')) {
            void authorities.get();
            readAt.push(clock.now());
          }
        };
        const wait = (ms: number): void => {
          for (let left = ms; left > 0; left -= 1) {
            clock.advance(1);
            read();
          }
        };
        let others = 0;
        for (const event of history) {
          if (event.what === 'wait') wait(event.ms);
          else if (event.what === 'other') {
            authorities.addAfter('plain', event.ms);
            others += 1;
          } else {
            eventHandlers.crlAwaited('plain');
            askedAt.push(clock.now());
          }
          read();
        }
        wait(6000);
        for (const ms of askedAt) {
          assert.ok(
            readAt.some((at) => at >= ms && at <= ms + 5000),
            `asked at ${ms}, read at ${readAt.join(', ')}`,
          );
        }
        assert.ok(readAt.length <= others + 1 + clock.now() / 5000, `${readAt.length} reads`);
        authorities.shutDown();
      }),
      { numRuns: 100 },
    );
  });
});

describe('changed labels of a namespace', () => {
  const toEdge = { namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] };
  const notCore: LabelSelector = { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['core'] }] };
  const rows: [title: string, issuance: Issuance, before: Labels, after: Labels, affected: string[]][] = [
    ['add a grant', { allow: [toEdge] }, {}, { team: 'edge' }, ['shop/granting']],
    ['remove a grant', { allow: [toEdge] }, { team: 'edge' }, { team: 'core' }, ['shop/granting']],
    ['decide who may use an authority', { namespaceSelector: notCore }, {}, { team: 'core' }, ['shop/granting']],
    ['do not match any selector of an authority', { allow: [toEdge] }, { team: 'core' }, { team: 'other' }, []],
    ['are in no selector', { allow: [toEdge] }, { team: 'edge' }, { team: 'edge', a: 'b' }, []],
    ['meet a grant to all namespaces', { allow: [{ ...toEdge, namespaceSelector: {} }] }, {}, { team: 'edge' }, []],
  ];
  for (const [title, issuance, before, after, affected] of rows) {
    test(`queue exactly the certificates that they affect when they ${title}`, async () => {
      const { label, certificates } = await world(issuance);
      label('shop', before);
      await certificates();
      label('shop', after);
      assert.deepEqual(await certificates(), affected);
    });
  }

  test('queue no certificates when the namespace is only being deleted', async () => {
    const { label, certificates } = await world({ allow: [toEdge] });
    label('shop', {}, true);
    assert.deepEqual(await certificates(), []);
  });

  test('queue no certificates when the namespace is deleted', async () => {
    const { caches, certificates, next } = await world({ allow: [toEdge] });
    caches.namespaces.observeDeleted({ name: 'shop' }, next().resourceVersion);
    assert.deepEqual(await certificates(), []);
  });

  test('queue its certificates when the namespace was not cached before', async () => {
    const { caches, label, certificates, next } = await world({ allow: [toEdge] });
    const { record } = certificate().asking({ authorityRef: { name: 'plain' } });
    caches.certificates.observe({ ...record, namespace: 'new', ...next() });
    await certificates();
    label('new', {});
    assert.deepEqual(await certificates(), ['new/payments']);
  });
});
