import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';

import { paths, type Secret } from '../../support/behaviours/api.ts';
import {
  type Certificate,
  type Installation,
  install,
  operatorNamespace,
  type Tenant,
} from '../../support/behaviours/installation.ts';
import { judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { killAfterWrites, samePod } from '../../support/faults/kill-after-write.ts';
import { type FaultyProxy, startProxy } from '../../support/proxy.ts';

/** Of all writes of a rotation every n-th is the last one once. CRASH_EVERY=1 takes them all, in about five minutes. */
const every = Number(process.env['CRASH_EVERY'] ?? 7);

let world: Installation;
let tenant: Tenant;
let proxy: FaultyProxy;
const names = ['a', 'b'];

before(async () => {
  world = await install();
  const rotation = { propagationDelay: '300ms' };
  await world.createAuthority('default', { secretName: 'mtls-root', root: {}, rotation });
  await world.start(samePod);
  tenant = await world.tenant('rotation-crash');
  const spec = { server: { service: 'db' }, client: { serviceAccount: 'db' } };
  for (const name of names) await tenant.create(name, spec);
  for (const name of names) await tenant.ready(name);
  await world.operator.stop();
  proxy = await startProxy(world.cluster);
});
after(async () => {
  await proxy.stop();
  await world.end();
});

describe('2. Intent survives: the operator, killed right after a write of a rotation of the root (30 s: it starts again after each)', () => {
  afterEach(() => world.operator.kill());

  // Broken if it fails: a step of the rotation is more than one write, or what it stands on lives in the process: the
  // operator that comes after starts another rotation, makes another root, forgets the old one too early, or waits for ever.
  it('ends in the state of an undisturbed one, whichever write was the last', async (t) => {
    const last = await killAfterWrites(t, {
      world,
      proxy,
      every,
      async begin(run) {
        const before = await state();
        const token = `after-${run}-${before.root}`;
        const annotations = { 'mtls-operator.io/rotate-root': token };
        await world.api.patch(paths.authorities('default'), { metadata: { annotations } });
        return () => assertRotatedOnce(before, token);
      },
    });
    // The root Secret five times, each Secret three times, each resource's status once, the authority's for each phase.
    assert.ok(last >= 5 + 3 * 4 + 2 + 4, `only ${last} writes were made`);
  });
});

interface State {
  readonly root: string;
  readonly revisions: readonly number[];
  readonly keys: readonly string[];
}

async function state(): Promise<State> {
  const { status } = await world.authority('default');
  const certificates = await Promise.all(names.map((name) => tenant.get(name)));
  const root = await world.api.get<Secret>(paths.secrets(operatorNamespace, 'mtls-root'));
  return {
    root: status?.activeRoot?.fingerprint ?? '',
    revisions: certificates.flatMap((certificate: Certificate) =>
      (certificate.status?.secrets ?? []).map(({ revision }) => revision),
    ),
    keys: Object.keys(root.data ?? {}).sort(),
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
      assert.deepEqual(now.revisions, once, 'every certificate is issued once for the rotation');
      assert.deepEqual(now.keys, ['ca.crl', 'ca.crt', 'revoked.json', 'tls.crt', 'tls.key']);
      for (const secret of await tenant.secrets()) assert.deepEqual((await judge(secret)).roots, [now.root]);
    },
    { timeoutMs: 90_000, message: 'the root is not rotated once' },
  );
}
