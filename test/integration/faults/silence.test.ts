import assert from 'node:assert/strict';

import { describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false }, () => world.start({ server: world.proxy.server }));

// These wait for the operator's own time-outs, of 30 and of 90 and 20 seconds, and keep no core busy meanwhile.
describe('2. Intent survives: a connection that stays open and falls silent', () => {
  const never = new Promise<never>(() => {});

  // Broken if it fails: one write that is never answered holds up its resource for ever, or is made twice.
  it('in the middle of a write: the write is looked after once its time is over, and is not made twice (30 s: the operator waits for its own time-out)', async () => {
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

  // Broken if it fails: a middlebox that drops a connection without a word leaves the operator blind for good.
  it('under a watch: what changed meanwhile is found by listing again (2 min: the operator waits for its own time-outs)', async () => {
    const pairs = await pairsIn(world, 'blind');
    await pairs.create(['a']);
    await pairs.endAs(pairsAt(['a'], 1));
    world.proxy.faults = { onEvents: () => never };
    await pairs.create(['b']);
    await world.api.delete(paths.secrets(pairs.namespace, 'a-server-tls'));
    const [a, b] = [pairsAt(['a'], 1), pairsAt(['b'], 1)];
    const made = { ...a.secrets['a-server-tls']!, revision: 2 };
    await pairs.endAs({
      certificates: { ...a.certificates, ...b.certificates },
      secrets: { ...a.secrets, ...b.secrets, 'a-server-tls': made },
    });
  });
});
