import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import type { Operator } from '../../support/operator.ts';
import { refuseChanges } from '../../support/refuse.ts';

const world = installation({ operator: false });
afterEach(async () => {
  await world.killOperators();
  await world.api.delete(paths.lease);
});

const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];
const startReplica = (): Promise<Operator> => world.start({ args: shortLease });

const status = async () => (await world.authority('default')).status ?? {};
const configure = (rotation: object) => world.patchAuthority('default', { spec: { rotation } });

/** Waits until the rotation is in this phase. */
const reaches = (phase: string) =>
  eventually(
    async () => {
      const { rotation } = await status();
      assert.equal(rotation?.phase, phase, JSON.stringify(rotation));
    },
    { timeoutMs: 90_000, message: `the rotation does not reach ${phase}` },
  );

/** Skips the gate of Distributing when only its delay is left. */
async function skipDistributing(): Promise<void> {
  const id = await eventually(async () => {
    const { rotation } = await status();
    assert.match(rotation?.blockers?.join() ?? '', /pods to load the last change/);
    return rotation?.id;
  });
  const annotations = { 'mtls-operator.io/skip-gate': `${id}/Distributing` };
  await world.patchAuthority('default', { metadata: { annotations } });
}

/** Settings that keep a rotation in each phase, so that the leader can be killed in it. */
const phases = {
  Distributing: { approval: 'Manual', propagationDelay: '0s', reissuesPerSecond: 50 },
  // Ten Secrets at one per second.
  Switching: { approval: 'Automatic', propagationDelay: '0s', reissuesPerSecond: 1 },
  Draining: { approval: 'Automatic', propagationDelay: '1h', reissuesPerSecond: 50 },
  // An admission policy refuses changes of Secrets. The rotation waits in Draining until the policy takes effect.
  Retiring: { approval: 'Automatic', propagationDelay: '1h', reissuesPerSecond: 50 },
} as const;

describe('2. A standby that started before the rotation continues it (35 s: a Lease has to expire)', () => {
  for (const [phase, rotation] of Object.entries(phases)) {
    // A failure means: the rotation waits for ever, because the new leader takes certificates of the new root for those of
    // an unknown root; or the new leader issues them again.
    it(`from ${phase}, after one leader was killed and its successor stopped`, async () => {
      const first = await startReplica();
      await eventually(async () => assert.notEqual((await status()).activeRoot, undefined), { timeoutMs: 60_000 });
      const pairs = await pairsIn(world, 'take-over');
      const names = ['a', 'b', 'c', 'd', 'e'];
      await pairs.create(names);
      await pairs.endAs(pairsAt(names, 1));
      const [second, third] = [await startReplica(), await startReplica()];
      await configure(rotation);
      const before = (await status()).activeRoot?.fingerprint;
      await world.rotateRoot('default', phase);
      let thaw = (): Promise<void> => Promise.resolve();
      if (rotation.propagationDelay === '1h') await skipDistributing();
      if (phase === 'Retiring') {
        await reaches('Draining');
        // From now on this Secret keeps the old root in its bundle.
        thaw = await refuseChanges(world, pairs.tenant, 'a-server-tls');
        await configure({ propagationDelay: '0s' });
      }
      await reaches(phase);
      await first.kill();
      // Either of the two may lead now. The other one was a standby during the whole rotation.
      const next = await leader(second, third);
      await next.stop();
      const last = next === second ? third : second;
      await leader(last);
      await thaw();
      await configure({ approval: 'Automatic', propagationDelay: '0s', reissuesPerSecond: 50 });
      await eventually(
        async () => {
          const { rotation: left, activeRoot } = await status();
          assert.equal(left, undefined, JSON.stringify(left));
          assert.notEqual(activeRoot?.fingerprint, before);
        },
        { timeoutMs: 120_000, message: 'the rotation does not end' },
      );
      await pairs.endAs(pairsAt(names, 2));
      for (const name of names) await pairs.tenant.delete(name);
    });
  }
});

/** Waits until one of the replicas leads. */
const leader = (...candidates: readonly Operator[]): Promise<Operator> =>
  eventually(
    () => {
      const leading = candidates.find(({ logs }) => logs.some(({ message }) => message === 'became the leader'));
      assert.ok(leading !== undefined, 'no replica leads');
      return leading;
    },
    { timeoutMs: 60_000 },
  );
