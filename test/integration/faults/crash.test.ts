import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { killAfterWrites, samePod } from '../../support/faults/kill-after-write.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { type Pairs, pairNames, pairsIn } from '../../support/faults/pairs.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import { randomFrom } from '../../support/random.ts';

const world = installation({ operator: false });

describe('2. Intent survives: the operator, killed at random moments of 400 issuances and 400 rotations (1 min: for the number of certificates)', () => {
  const names = pairNames(200);
  let pairs: Pairs;
  afterEach(async () => {
    await world.killOperators();
    await forget(pairs);
  });

  // A failure means: the intent to issue is kept in the process and not in the API server (a resource is forgotten),
  // or the revision is chosen before the write that stores it (two keys for one revision), or a Secret and its status
  // entry are inconsistent after a kill (an orphan, a repeated rotation).
  it('makes all resources Ready after each restart, with one key per revision and no orphan', async (t) => {
    pairs = await pairsIn(world, 'kill');
    const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_130);
    const random = randomFrom(seed);
    const kills = { issuing: randomMoments(random, 4, 1, 400), rotating: randomMoments(random, 3, 401, 800) };
    t.diagnostic(`FUZZ_SEED=${seed}: killed after these numbers of Secret writes: ${JSON.stringify(kills)}`);
    await world.start(samePod);

    const killing = killAndRestart(kills.issuing);
    await pairs.create(names);
    await killing;
    await pairs.endAs(pairsAt(names, 1));

    const killingAgain = killAndRestart(kills.rotating);
    await pairs.rotate(names, 'incident-1');
    await killingAgain;
    await pairs.endAs(pairsAt(names, 2, 'incident-1'));
  });

  async function killAndRestart(moments: readonly number[]): Promise<void> {
    for (const moment of moments) {
      await pairs.history.reaches(moment);
      await world.operator.kill();
      await world.start(samePod);
    }
  }
});

describe('2. Intent survives: the operator, killed after each single write (2 min: it starts again after each)', () => {
  const names = ['a', 'b'];
  const token = 'turn-1';
  afterEach(() => world.killOperators());

  // A failure means: two dependent writes are not idempotent. After the restart the operator repeats the first one
  // (another root, another revision), or does not make the second one (a rotation of only one of the two Secrets, a
  // status that is never written).
  it('reaches the state of a run without a kill, whichever write was the last', async (t) => {
    let pairs: Pairs | undefined;
    const last = await killAfterWrites(t, {
      world,
      every: 1,
      async begin(run) {
        if (pairs !== undefined) await forget(pairs);
        const next = await pairsIn(world, `crash-${run}`);
        pairs = next;
        return () => assertLifecycle(next);
      },
    });
    // The authority, its root and its status; four Secrets and the status of two resources, each twice.
    assert.ok(last - 1 >= 3 + 2 * (4 + 2), `the operator made only ${last - 1} writes`);
  });

  async function assertLifecycle(pairs: Pairs): Promise<void> {
    await pairs.create(names);
    await pairs.endAs(pairsAt(names, 1));
    await pairs.rotate(names, token);
    await pairs.endAs(pairsAt(names, 2, token));
    await assertOneRoot();
  }

  async function assertOneRoot(): Promise<void> {
    await eventually(async () => {
      const authority = await world.authority('default');
      const { status } = authority;
      assert.equal(conditionOf(authority, 'Ready')?.status, 'True');
      const trusted = (status?.roots ?? []).map(({ fingerprint }) => fingerprint);
      assert.deepEqual(trusted, [status?.activeRoot?.fingerprint], 'the operator created a second root');
    });
  }
});

/** Resets the cluster to the state before the operator's first start. No operator may be running. */
async function forget({ namespace }: Pairs): Promise<void> {
  await world.api.delete(paths.certificates(namespace));
  await world.api.delete(paths.secrets(namespace));
  await world.api.delete(paths.authorities('default'));
  await world.api.delete(paths.rootSecret('mtls-root'));
}

/** Sorted distinct numbers from `low` to below `high`. */
function randomMoments(random: () => number, count: number, low: number, high: number): number[] {
  const moments = new Set<number>();
  while (moments.size < count) moments.add(low + Math.floor(random() * (high - low)));
  return [...moments].sort((a, b) => a - b);
}
