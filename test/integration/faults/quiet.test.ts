import assert from 'node:assert/strict';

import { describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { issuedPairs, pairNames } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import type { Exchange } from '../../support/proxy.ts';

const world = installation();

// etcd as it comes reports its progress every ten minutes, and an API server that hears of none sends no bookmarks. This
// waits for the operator's own time-out of 90 seconds, and keeps no core busy meanwhile.
describe('A cluster in which nothing happens', () => {
  // Broken if it fails: an idle operator reads everything once more every two minutes, however much there is.
  it('is not read again and again: a silent watch resumes where it was (2 min: the operator waits for its own time-outs)', async () => {
    const names = pairNames(3);
    const pairs = await issuedPairs(world, 'quiet', names);
    const ofLeaves: Exchange[] = [];
    const long = () => ofLeaves.filter(({ query }) => Number(query.get('timeoutSeconds')) > 60);
    world.proxy.faults = {
      onRequest(exchange) {
        const { method, path, query } = exchange;
        if (method === 'GET' && path === '/api/v1/secrets' && query.has('labelSelector')) ofLeaves.push(exchange);
        return 'pass';
      },
      // Somebody else's list lets the API server know of progress, and then there are bookmarks.
      onEvents: (exchange) => (exchange === long()[0] ? new Promise<never>(() => {}) : undefined),
    };
    await world.start({ server: world.proxy.server });
    const begunAnew = () => assert.equal(long().length, 2);
    await eventually(begunAnew, { timeoutMs: 180_000, message: 'the watch of Secrets was not begun anew' });
    const what = ofLeaves.map(({ query }) => {
      if (query.has('sendInitialEvents')) return 'everything';
      if (query.has('limit')) return query.get('limit') === '1' ? 'one' : 'page';
      return Number(query.get('timeoutSeconds')) > 60 ? 'long watch' : 'short watch';
    });
    assert.deepEqual(what, ['everything', 'long watch', 'one', 'short watch', 'long watch']);
    await pairs.create(['one-more']);
    await pairs.endAs(pairsAt([...names, 'one-more'], 1));
  });
});
