import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Issuance, LabelSelector } from '../../../src/api/types.ts';
import { Caches } from '../../../src/controllers/cache/caches.ts';
import { EventHandlers } from '../../../src/controllers/event-handlers.ts';
import { WorkQueue } from '../../../src/kube/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { ManualClock } from '../../support/manual-clock.ts';

type Labels = Readonly<Record<string, string>>;

/** The keys in a queue in their order, which are taken out of it. */
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

/** Caches with the namespaces `shop` and `other`, and certificates in them of an authority that grants and one that does not. */
async function world(issuance: Issuance) {
  const caches = new Caches(() => []);
  const queues = { authority: new WorkQueue(), certificate: new WorkQueue(), trust: new WorkQueue() };
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

describe('a replica that comes to lead', () => {
  // Broken if it fails: after a failover whoever asks for something waits until all that is well was looked at.
  test('looks at everything, and first of all at what changes then', async () => {
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
    ['grants something', { issuance: { allow: [grant] } }, users],
    ['limits durations', { issuance: { maxDuration: '24h' } }, users],
    ['has another trust domain', { trustDomain: 'x' }, users],
    ['has another cluster domain', { clusterDomain: 'x' }, users],
    ['says nothing else', {}, []],
    ['is only rotated otherwise', { rotation: { ...authority().spec.rotation, approval: 'Manual' } }, []],
  ];
  for (const [title, changes, affected] of rows) {
    test(`has ${affected.length === 0 ? 'nothing' : 'its own certificates'} looked at at once when it ${title}`, async () => {
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
  // Broken if it fails: one tenant has the operator read a root Secret with thousands of revocations as often as it asks.
  test('have the authority looked at once at first, and together after that', async () => {
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
      // Whatever else has the authority read after a pause.
      fc.nat({ max: 6000 }).map((ms) => ({ what: 'other', ms }) as const),
    ),
    { maxLength: 30 },
  );

  // Broken if it fails: a request is not answered before another one comes, or the day on which the CRL is renewed.
  test('has the authority read after it, within 5 s, and not more often than that for requests alone', () => {
    fc.assert(
      fc.property(moments, (history) => {
        const clock = new ManualClock();
        const caches = new Caches(() => [], clock.now);
        const authorities = new WorkQueue({ clock });
        const eventHandlers = new EventHandlers(caches, {
          authority: authorities,
          certificate: new WorkQueue({ clock }),
          trust: new WorkQueue({ clock }),
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

describe('labels of a namespace that change', () => {
  const toEdge = { namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] };
  const notCore: LabelSelector = { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['core'] }] };
  const rows: [title: string, issuance: Issuance, before: Labels, after: Labels, affected: string[]][] = [
    ['add a grant', { allow: [toEdge] }, {}, { team: 'edge' }, ['shop/granting']],
    ['take a grant away', { allow: [toEdge] }, { team: 'edge' }, { team: 'core' }, ['shop/granting']],
    ['say who may use an authority', { namespaceSelector: notCore }, {}, { team: 'core' }, ['shop/granting']],
    ['say nothing to an authority', { allow: [toEdge] }, { team: 'core' }, { team: 'other' }, []],
    ['are of no interest', { allow: [toEdge] }, { team: 'edge' }, { team: 'edge', a: 'b' }, []],
    ['meet a grant to all', { allow: [{ ...toEdge, namespaceSelector: {} }] }, {}, { team: 'edge' }, []],
  ];
  for (const [title, issuance, before, after, affected] of rows) {
    test(`have the certificates looked at that they concern, and no other, when they ${title}`, async () => {
      const { label, certificates } = await world(issuance);
      label('shop', before);
      await certificates();
      label('shop', after);
      assert.deepEqual(await certificates(), affected);
    });
  }

  test('have nothing looked at when it is only ending', async () => {
    const { label, certificates } = await world({ allow: [toEdge] });
    label('shop', {}, true);
    assert.deepEqual(await certificates(), []);
  });

  test('have nothing looked at when it is gone', async () => {
    const { caches, certificates, next } = await world({ allow: [toEdge] });
    caches.namespaces.observeDeleted({ name: 'shop' }, next().resourceVersion);
    assert.deepEqual(await certificates(), []);
  });

  test('have its certificates looked at when it was not seen before', async () => {
    const { caches, label, certificates, next } = await world({ allow: [toEdge] });
    const { record } = certificate().asking({ authorityRef: { name: 'plain' } });
    caches.certificates.observe({ ...record, namespace: 'new', ...next() });
    await certificates();
    label('new', {});
    assert.deepEqual(await certificates(), ['new/payments']);
  });
});
