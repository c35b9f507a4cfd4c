import assert from 'node:assert/strict';

import { describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false }, () => world.start({ server: world.proxy.server }));

// These tests wait for the operator's own time-outs of 30 s, and of 90 s plus 20 s. They need almost no CPU time.
describe('2. Intent survives: a connection that stays open but gets no data', () => {
  const never = new Promise<never>(() => {});

  // A failure means: a write without a response blocks its resource for ever, or is repeated.
  it('during a write: the operator checks the result after the time-out and does not write twice (30 s: the operator waits for its own time-out)', async () => {
    const pairs = await pairsIn(world, 'mute');
    let silenced = 0;
    world.proxy.faults = {
      onReply({ method, path }) {
        if (method !== 'POST' || path !== paths.secrets(pairs.namespace) || silenced > 0) return 'pass';
        silenced += 1;
        return never;
      },
    };
    await pairs.create(['a']);
    await pairs.endAs(pairsAt(['a'], 1));
    assert.equal(silenced, 1);
  });

  // A failure means: a middlebox that silently drops a connection keeps the operator from ever seeing changes again.
  it('during a watch: the operator lists again and finds the changes made meanwhile (2 min: the operator waits for its own time-outs)', async () => {
    const pairs = await pairsIn(world, 'blind');
    await pairs.create(['a']);
    await pairs.endAs(pairsAt(['a'], 1));
    world.proxy.faults = { onEvents: () => never };
    await pairs.create(['b']);
    await world.api.delete(paths.secrets(pairs.namespace, 'a-server-tls'));
    const [a, b] = [pairsAt(['a'], 1), pairsAt(['b'], 1)];
    const repaired = { ...a.secrets['a-server-tls']!, revision: 2 };
    await pairs.endAs({
      certificates: { ...a.certificates, ...b.certificates },
      secrets: { ...a.secrets, ...b.secrets, 'a-server-tls': repaired },
    });
  });
});
