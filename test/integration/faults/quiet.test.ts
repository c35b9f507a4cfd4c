import assert from 'node:assert/strict';

import { describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { issuedPairs, pairNames } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import type { Exchange } from '../../support/proxy.ts';

const world = installation();

// By default etcd reports its progress every ten minutes, and without it the API server sends no bookmarks. This test waits
// for the operator's own time-out of 90 seconds and needs almost no CPU time.
describe('A cluster without changes', () => {
  // A failure means: an idle operator reads every object again every two minutes, however many there are.
  it('is not listed again: a silent watch resumes at its resourceVersion (2 min: the operator waits for its own time-outs)', async () => {
    const names = pairNames(3);
    const pairs = await issuedPairs(world, 'quiet', names);
    const leafRequests: Exchange[] = [];
    const long = () => leafRequests.filter(({ query }) => Number(query.get('timeoutSeconds')) > 60);
    world.proxy.faults = {
      onRequest(exchange) {
        const { method, path, query } = exchange;
        if (method === 'GET' && path === '/api/v1/secrets' && query.has('labelSelector')) leafRequests.push(exchange);
        return 'pass';
      },
      // A list by another client would report progress to the API server, which would then send bookmarks.
      onEvents: (exchange) => (exchange === long()[0] ? new Promise<never>(() => {}) : undefined),
    };
    await world.start({ server: world.proxy.server });
    const isRestarted = () => assert.equal(long().length, 2);
    await eventually(isRestarted, { timeoutMs: 180_000, message: 'the watch of Secrets did not start again' });
    const kinds = leafRequests.map(({ query }) => {
      if (query.has('sendInitialEvents')) return 'everything';
      if (query.has('limit')) return query.get('limit') === '1' ? 'one' : 'page';
      return Number(query.get('timeoutSeconds')) > 60 ? 'long watch' : 'short watch';
    });
    assert.deepEqual(kinds, ['everything', 'long watch', 'one', 'short watch', 'long watch']);
    await pairs.create(['one-more']);
    await pairs.endAs(pairsAt([...names, 'one-more'], 1));
  });
});
