import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pairsAt } from '../../support/faults/namespace-state.ts';
import { issuedPairs, pairNames } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import { recordRequests } from '../../support/proxy.ts';

const world = installation();

describe('An operator that starts with many existing objects', () => {
  // Pages of a list come from etcd, one by one, and cost the API server several times as much as a streamed list.
  it('reads certificates and their Secrets once, as a streaming list (KEP-3157) (20 s: hundreds of certificates are issued first)', async () => {
    const names = pairNames(20);
    const pairs = await issuedPairs(world, 'streamed', names);
    const seen = recordRequests(world.proxy);
    await world.start({ server: world.proxy.server });
    await pairs.create(['one-more']);
    await pairs.endAs(pairsAt([...names, 'one-more'], 1));
    for (const suffix of ['/mtlscertificates', '/secrets?labelSelector']) {
      const requests = seen.filter(({ method, path, query }) => {
        const selected = query.has('labelSelector') ? `${path}?labelSelector` : path;
        return method === 'GET' && selected.endsWith(suffix);
      });
      const [first] = requests;
      assert.equal(
        first?.query.get('sendInitialEvents'),
        'true',
        `the first request for ${suffix} has the query ${String(first?.query)}`,
      );
      assert.deepEqual(
        requests.filter(({ isWatch }) => !isWatch).map(({ query }) => String(query)),
        [],
      );
    }
  });
});
