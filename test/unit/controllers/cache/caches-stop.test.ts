import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { type CacheSources, keepCaches } from '../../../../src/controllers/cache/keep-caches.ts';
import { silentLog } from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { type Exchange, type FaultServer, serve } from '../../kube/api/fault-server.ts';

/** Answers with which no cache is ever filled. */
const answers: Readonly<Record<string, (exchange: Exchange) => void>> = {
  'breaks connections': ({ reset }) => reset(),
  'answers 403': ({ status }) => status(403, 'Forbidden'),
  'does not answer': () => {},
  'answers only the first lists': ({ path, query, json, events }) => {
    if (query.has('watch')) events();
    else if (/authorities|namespaces$|\/secrets$/.test(path))
      json(200, { items: [], metadata: { resourceVersion: '1' } });
  },
};

const sourcesOf = (server: FaultServer): CacheSources => ({
  client: server.client(),
  namespace: 'n',
  log: silentLog,
  onError: () => {},
  onListed: () => {},
});

describe('the caches stop when the signal aborts, with an API server that', () => {
  for (const [does, answer] of Object.entries(answers)) {
    test(does, async (t) => {
      const server = await serve(t, answer);
      const stop = new AbortController();
      const kept = keepCaches(new Caches(() => []), sourcesOf(server), stop.signal, {
        afterRoots: () => Promise.resolve(),
        afterAll: () => assert.fail('they are never filled'),
      });
      await eventually(() => assert.ok(server.exchanges.length >= 3));
      stop.abort();
      await kept;
    });
  }
});

test('labelled Secrets are requested only after the MtlsCertificates are cached', async (t) => {
  const selectors = ({ path, query }: Exchange) =>
    path.endsWith('/secrets') && query.get('labelSelector') !== null ? 'leaves' : path.split('/').at(-1);
  let answerCertificates: (() => void) | undefined;
  const server = await serve(t, (exchange) => {
    const { query, json, events, status } = exchange;
    const empty = () => json(200, { items: [], metadata: { resourceVersion: '1' } });
    if (query.has('sendInitialEvents')) return status(422, 'Invalid');
    if (query.has('watch')) return events();
    if (selectors(exchange) === 'mtlscertificates') answerCertificates = empty;
    else empty();
  });
  const stop = new AbortController();
  t.after(() => stop.abort());
  let isFilled = false;
  const kept = keepCaches(new Caches(() => []), sourcesOf(server), stop.signal, {
    afterRoots: () => Promise.resolve(),
    afterAll: () => {
      isFilled = true;
    },
  });
  const asked = () => server.exchanges.map(selectors);
  // ConfigMaps are requested together with the Secrets.
  await eventually(() => assert.ok(asked().includes('configmaps') && answerCertificates !== undefined));
  assert.ok(!asked().includes('leaves'));
  answerCertificates?.();
  await eventually(() => assert.ok(asked().includes('leaves') && isFilled));
  stop.abort();
  await kept;
});
