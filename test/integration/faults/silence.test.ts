import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { pairsAt } from '../../support/faults/certificates.ts';
import { type ProxiedCluster, startProxiedCluster } from '../../support/faults/pairs.ts';
import { type Operator, startOperator } from '../../support/operator.ts';

// These wait for the operator's own time-outs, of 30 and of 90 and 20 seconds, and keep no core busy meanwhile.
describe('2. Intent survives: a connection that stays open and falls silent', () => {
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

  const never = new Promise<never>(() => {});

  // Broken if it fails: one write that is never answered holds up its resource for ever, or is made twice.
  it('in the middle of a write: the write is looked after once its time is over, and is not made twice (30 s: the operator waits for its own time-out)', async () => {
    const namespace = await faults.cluster.namespace('mute');
    let silenced = 0;
    faults.proxy.faults = {
      onReply({ method, path }) {
        if (method !== 'POST' || path !== `/api/v1/namespaces/${namespace}/secrets` || silenced > 0) return 'pass';
        silenced += 1;
        return never;
      },
    };
    await faults.createPairs(namespace, ['a']);
    await faults.assertEndsAs(namespace, pairsAt(['a'], 1), operator);
    assert.equal(silenced, 1);
  });

  // Broken if it fails: a middlebox that drops a connection without a word leaves the operator blind for good.
  it('under a watch: what changed meanwhile is found by listing again (2 min: the operator waits for its own time-outs)', async () => {
    const namespace = await faults.cluster.namespace('blind');
    await faults.createPairs(namespace, ['a']);
    await faults.assertEndsAs(namespace, pairsAt(['a'], 1), operator);
    faults.proxy.faults = { onEvents: () => never };
    await faults.createPairs(namespace, ['b']);
    await faults.api.delete(`/api/v1/namespaces/${namespace}/secrets/a-server-tls`);
    const [a, b] = [pairsAt(['a'], 1), pairsAt(['b'], 1)];
    const made = { ...a.secrets['a-server-tls']!, revision: 2 };
    await faults.assertEndsAs(
      namespace,
      {
        certificates: { ...a.certificates, ...b.certificates },
        secrets: { ...a.secrets, ...b.secrets, 'a-server-tls': made },
      },
      operator,
    );
  });
});
