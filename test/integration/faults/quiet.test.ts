import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/certificates.ts';
import {
  issuePairs,
  type ProxiedCluster,
  pairNames,
  startProxiedCluster,
  withOperator,
} from '../../support/faults/pairs.ts';
import type { Exchange } from '../../support/proxy.ts';

// etcd as it comes reports its progress every ten minutes, and an API server that hears of none sends no bookmarks. This
// waits for the operator's own time-out of 90 seconds, and keeps no core busy meanwhile.
describe('A cluster in which nothing happens', () => {
  let faults: ProxiedCluster;
  before(async () => {
    faults = await startProxiedCluster();
  });
  after(() => faults.stop());

  // Broken if it fails: an idle operator reads everything once more every two minutes, however much there is.
  it('is not read again and again: a silent watch resumes where it was (2 min: the operator waits for its own time-outs)', async () => {
    const names = pairNames(3);
    const namespace = await faults.cluster.namespace('quiet');
    await issuePairs(faults, namespace, names);
    const ofLeaves: Exchange[] = [];
    const long = () => ofLeaves.filter(({ query }) => Number(query.get('timeoutSeconds')) > 60);
    faults.proxy.faults = {
      onRequest(exchange) {
        const { method, path, query } = exchange;
        if (method === 'GET' && path === '/api/v1/secrets' && query.has('labelSelector')) ofLeaves.push(exchange);
        return 'pass';
      },
      // Somebody else's list lets the API server know of progress, and then there are bookmarks.
      onEvents: (exchange) => (exchange === long()[0] ? new Promise<never>(() => {}) : undefined),
    };
    await withOperator(faults.cluster, { server: faults.proxy.server }, async (operator) => {
      const begunAnew = () => assert.equal(long().length, 2);
      await eventually(begunAnew, { timeoutMs: 180_000, message: 'the watch of Secrets was not begun anew' });
      const what = ofLeaves.map(({ query }) => {
        if (query.has('sendInitialEvents')) return 'everything';
        if (query.has('limit')) return query.get('limit') === '1' ? 'one' : 'page';
        return Number(query.get('timeoutSeconds')) > 60 ? 'long watch' : 'short watch';
      });
      assert.deepEqual(what, ['everything', 'long watch', 'one', 'short watch', 'long watch']);
      await faults.createPairs(namespace, ['one-more']);
      await faults.assertEndsAs(namespace, pairsAt([...names, 'one-more'], 1), operator);
    });
  });
});
