import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/certificates.ts';
import { type ProxiedCluster, pairNames, startProxiedCluster } from '../../support/faults/pairs.ts';
import { type Operator, startOperator } from '../../support/operator.ts';

describe('A namespace has neighbours', () => {
  let faults: ProxiedCluster;
  let operator: Operator;
  before(async () => {
    faults = await startProxiedCluster();
    operator = await startOperator(faults.cluster, { server: faults.proxy.server });
  });
  after(async () => {
    await operator?.kill();
    await faults.stop();
  });

  // Broken if it fails: one tenant's flood has all workers, and every certificate of the others waits for the end of it.
  it('and has no more than its share of the workers: others are served while it waits for the API server', async () => {
    const [flooded, other] = [await faults.cluster.namespace('flood'), await faults.cluster.namespace('other')];
    const release = Promise.withResolvers<'pass'>();
    let held = 0;
    faults.proxy.faults = {
      onRequest({ method, path }) {
        if (method !== 'POST' || path !== `/api/v1/namespaces/${flooded}/secrets`) return 'pass';
        held += 1;
        return release.promise;
      },
    };
    // A quarter of 32 workers, with two Secrets each; and more pairs than there are workers.
    const share = 16;
    const names = pairNames(50);
    await faults.createPairs(flooded, names);
    await eventually(() => assert.ok(held >= share));
    await faults.createPairs(other, ['a']);
    await faults.assertEndsAs(other, pairsAt(['a'], 1), operator);
    assert.equal(held, share, 'writes of one namespace that are under way');
    release.resolve('pass');
    await faults.assertEndsAs(flooded, pairsAt(names, 1), operator);
  });
});
