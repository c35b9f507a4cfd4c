import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
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
import { startOperator } from '../../support/operator.ts';
import { type Exchange, type FaultyProxy, startProxy } from '../../support/proxy.ts';

/** A container that is started again in its Pod: it finds the Lease to be its own, and need not wait for it to expire. */
const samePod = { env: { POD_NAME: 'replica' } };

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

describe('2. Intent survives: the operator, killed right after a write of a rotation of the root', () => {
  afterEach(() => world.operator.kill());

  // Broken if it fails: a step of the rotation is more than one write, or what it stands on lives in the process: the
  // operator that comes after starts another rotation, makes another root, forgets the old one too early, or waits for ever.
  it('ends in the state of an undisturbed one, whichever write was the last', async (t) => {
    let last = randomInt(1, every + 1);
    let killed = 0;
    while (await isKilledAfterWrite(last)) {
      killed += 1;
      last += every;
    }
    t.diagnostic(`killed ${killed} times; ${last} writes were more than there are`);
    // The root Secret five times, each Secret three times, each resource's status once, the authority's for each phase.
    assert.ok(last >= 5 + 3 * 4 + 2 + 4, `only ${last} writes were made`);
  });
});

/** Rotates the root with a kill after the rotation's `last`-th write. False when it had fewer writes. */
async function isKilledAfterWrite(last: number): Promise<boolean> {
  const before = await state();
  const killed = Promise.withResolvers<boolean>();
  let writes = 0;
  proxy.faults = {
    onReply(exchange, status) {
      if (isEffective(exchange) && status < 300) writes += 1;
      if (writes < last) return 'pass';
      process.kill(operator.pid, 'SIGKILL');
      killed.resolve(true);
      return 'break';
    },
  };
  const token = `after-${last}-${before.root}`;
  const annotations = { 'mtls-operator.io/rotate-root': token };
  await world.api.patch(paths.authorities('default'), { metadata: { annotations } });
  const operator = await startOperator(world.cluster, { ...samePod, server: proxy.server, waitUntilReady: false });
  const restarted = killed.promise.then(async (wasKilled) => {
    await operator.kill();
    proxy.faults = {};
    if (wasKilled) await world.start(samePod);
    return wasKilled;
  });
  try {
    await assertRotatedOnce(before, token);
  } finally {
    killed.resolve(false);
    await restarted;
  }
  if (await restarted) await world.operator.stop();
  return restarted;
}

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

/** A write that is part of the story: neither the Lease nor an event is. */
const isEffective = ({ method, path }: Exchange): boolean => method !== 'GET' && !/\/(leases|events)(\/|$)/.test(path);
