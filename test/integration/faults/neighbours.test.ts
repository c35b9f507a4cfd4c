import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/certificates.ts';
import { type FaultCluster, pairNames, startFaultCluster } from '../../support/faults/pairs.ts';
import { type Operator, startOperator } from '../../support/operator.ts';
import { type FaultyProxy, startProxy } from '../../support/proxy.ts';

describe('A namespace has neighbours', () => {
  let faults: FaultCluster;
  let proxy: FaultyProxy;
  let operator: Operator;
  before(async () => {
    faults = await startFaultCluster();
    proxy = await startProxy(faults.cluster);
    operator = await startOperator(faults.cluster, { server: proxy.server });
  });
  after(async () => {
    await operator?.kill();
    await proxy?.stop();
    await faults.stop();
  });

  // Broken if it fails: one tenant's flood has all workers, and every certificate of the others waits for the end of it.
  it('and has no more than its share of the workers: others are served while it waits for the API server', async () => {
    const [flooded, other] = [await faults.cluster.namespace('flood'), await faults.cluster.namespace('other')];
    const release = Promise.withResolvers<'pass'>();
    let held = 0;
    proxy.faults = {
      onRequest({ method, path }) {
        if (method !== 'POST' || path !== `/api/v1/namespaces/${flooded}/secrets`) return 'pass';
        held += 1;
        return release.promise;
      },
    };
    // More than there are workers.
    const names = pairNames(50);
    await faults.createPairs(flooded, names);
    await eventually(() => assert.ok(held > 0));
    await faults.createPairs(other, ['a']);
    await faults.assertEndsAs(other, pairsAt(['a'], 1), operator);
    assert.ok(held < 2 * names.length, `all ${held} writes of one namespace are under way`);
    release.resolve('pass');
    await faults.assertEndsAs(flooded, pairsAt(names, 1), operator);
  });
});
