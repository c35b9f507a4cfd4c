import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { pairsAt } from '../../support/faults/certificates.ts';
import {
  issuePairs,
  type ProxiedCluster,
  pairNames,
  startProxiedCluster,
  withOperator,
} from '../../support/faults/pairs.ts';
import type { Exchange } from '../../support/proxy.ts';

describe('An operator that starts where there is much', () => {
  let faults: ProxiedCluster;
  before(async () => {
    faults = await startProxiedCluster();
  });
  after(() => faults.stop());

  // Broken if it fails: the pages of a listing come from etcd, one by one, and cost the API server several times as much.
  it('asks for certificates and their Secrets once, as a watch that begins with all there is (KEP-3157) (20 s: hundreds of certificates are issued first)', async () => {
    const names = pairNames(20);
    const namespace = await faults.cluster.namespace('streamed');
    await issuePairs(faults, namespace, names);
    const seen: Exchange[] = [];
    faults.proxy.faults = {
      onRequest(exchange) {
        seen.push(exchange);
        return 'pass';
      },
    };
    await withOperator(faults.cluster, { server: faults.proxy.server }, async (operator) => {
      await faults.createPairs(namespace, ['one-more']);
      await faults.assertEndsAs(namespace, pairsAt([...names, 'one-more'], 1), operator);
    });
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
