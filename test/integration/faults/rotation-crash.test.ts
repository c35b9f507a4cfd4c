import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { crashSite, killAfterWrites } from '../../support/faults/kill-after-write.ts';

/** The operator is killed after every n-th write of a rotation. CRASH_EVERY=1 covers every write, in about five minutes. */
const every = Number(process.env['CRASH_EVERY'] ?? 7);

const site = crashSite('rotation-crash', () => ({ rotation: { propagationDelay: '300ms' } }));
const { world } = site;

describe('2. Intent survives: the operator, killed after a write of a root rotation (30 s: it starts again after each)', () => {
  // A failure means: a step of the rotation is more than one write, or its state is kept in the process. After the restart
  // the operator starts another rotation, creates another root, drops the old root too early, or waits for ever.
  it('reaches the state of a rotation without a kill, whichever write was the last', async (t) => {
    const last = await killAfterWrites(t, {
      world,
      every,
      async begin(run) {
        const before = await state();
        const token = `after-${run}-${before.root}`;
        await world.rotateRoot('default', token);
        return () => assertRotatedOnce(before, token);
      },
    });
    // The root Secret five times, each Secret three times, each resource's status once, the authority's for each phase.
    assert.ok(last >= 5 + 3 * 4 + 2 + 4, `the operator made fewer than ${last} writes`);
  });
});

interface State {
  readonly root: string;
  readonly revisions: readonly number[];
  readonly keys: readonly string[];
}

async function state(): Promise<State> {
  const { status } = await world.authority('default');
  return {
    root: status?.activeRoot?.fingerprint ?? '',
    revisions: await site.revisions(),
    keys: Object.keys((await world.rootSecret('mtls-root')).data ?? {}).sort(),
  };
}

async function assertRotatedOnce(before: State, token: string): Promise<void> {
  await eventually(
    async () => {
      const { status } = await world.authority('default');
      assert.equal(status?.lastHandledRotateRoot, token);
      assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      const now = await state();
      assert.notEqual(now.root, before.root);
      assert.deepEqual(
        status?.roots?.map(({ fingerprint }) => fingerprint),
        [now.root],
      );
      const once = before.revisions.map((revision) => revision + 1);
      assert.deepEqual(now.revisions, once, 'every certificate must be issued once for the rotation');
      assert.deepEqual(now.keys, ['ca.crl', 'ca.crt', 'revoked.json', 'tls.crt', 'tls.key']);
      for (const secret of await site.tenant.secrets()) assert.deepEqual((await judge(secret)).roots, [now.root]);
    },
    { timeoutMs: 90_000, message: 'the root was not rotated exactly once' },
  );
}
