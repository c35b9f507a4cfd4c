import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { pairNames, pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false });

describe('A namespace has neighbours', () => {
  // Broken if it fails: one tenant's flood has all workers, and every certificate of the others waits for the end of it.
  it('and has no more than its share of the workers: others are served while it waits for the API server', async () => {
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
    // A quarter of 32 workers, with two Secrets each; and more pairs than there are workers.
    const share = 16;
    const names = pairNames(50);
    await flooded.create(names);
    await eventually(() => assert.ok(held >= share));
    await other.create(['a']);
    await other.endAs(pairsAt(['a'], 1));
    assert.equal(held, share, 'writes of one namespace that are under way');
    release.resolve('pass');
    await flooded.endAs(pairsAt(names, 1));
  });
});
