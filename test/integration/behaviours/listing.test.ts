import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pairsAt } from '../../support/faults/namespace-state.ts';
import { issuedPairs, pairNames } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import { recordRequests } from '../../support/proxy.ts';

const world = installation();

describe('An operator that starts where there is much', () => {
  // Broken if it fails: the pages of a listing come from etcd, one by one, and cost the API server several times as much.
  it('asks for certificates and their Secrets once, as a watch that begins with all there is (KEP-3157) (20 s: hundreds of certificates are issued first)', async () => {
    const names = pairNames(20);
    const pairs = await issuedPairs(world, 'streamed', names);
    const seen = recordRequests(world.proxy);
    await world.start({ server: world.proxy.server });
    await pairs.create(['one-more']);
    await pairs.endAs(pairsAt([...names, 'one-more'], 1));
    for (const what of ['/mtlscertificates', '/secrets?labelSelector']) {
      const asked = seen.filter(({ method, path, query }) => {
        const selected = query.has('labelSelector') ? `${path}?labelSelector` : path;
        return method === 'GET' && selected.endsWith(what);
      });
      const [first] = asked;
      assert.equal(
        first?.query.get('sendInitialEvents'),
        'true',
        `${what} is first asked for by ${String(first?.query)}`,
      );
      assert.deepEqual(
        asked.filter(({ isWatch }) => !isWatch).map(({ query }) => String(query)),
        [],
      );
    }
  });
});
