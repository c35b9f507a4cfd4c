import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { pairNames, pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false });

describe('A namespace with many resources', () => {
  // A failure means: one tenant's resources occupy all workers, and the certificates of all other tenants wait for them.
  it('gets only its share of the workers: other namespaces are served while it waits for the API server', async () => {
    await world.start({ server: world.proxy.server });
    const [flooded, other] = [await pairsIn(world, 'flood'), await pairsIn(world, 'other')];
    const release = Promise.withResolvers<'pass'>();
    let held = 0;
    world.proxy.faults = {
      onRequest({ method, path }) {
        if (method !== 'POST' || path !== paths.secrets(flooded.namespace)) return 'pass';
        held += 1;
        return release.promise;
      },
    };
    // A quarter of 32 workers, with two Secrets each. There are more pairs than workers.
    const share = 16;
    const names = pairNames(50);
    await flooded.create(names);
    await eventually(() => assert.ok(held >= share));
    await other.create(['a']);
    await other.endAs(pairsAt(['a'], 1));
    assert.equal(held, share, 'concurrent writes of one namespace');
    release.resolve('pass');
    await flooded.endAs(pairsAt(names, 1));
  });
});
