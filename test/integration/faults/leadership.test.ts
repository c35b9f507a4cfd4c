import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { paths, type Stored } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { type Pairs, pairNames, pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import type { Operator } from '../../support/operator.ts';

interface Lease extends Stored {
  readonly spec: { readonly holderIdentity: string; readonly acquireTime: string; readonly renewTime: string };
}

const leaseDurationMs = 3000;
const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];
const longLease = ['--lease-duration=5m', '--renew-deadline=4m', '--retry-period=500ms'];

/** Each state of the Lease, in order. */
const leases: Lease[] = [];
const world = installation({ operator: false }, async ({ api }) => {
  void api
    .watch<Lease>(paths.lease.slice(0, paths.lease.lastIndexOf('/')), ({ object }) => leases.push(object))
    .catch((error: unknown) => assert.fail(String(error)));
});
afterEach(async () => {
  await world.killOperators();
  // Otherwise the replicas of the next test would wait until the Lease expires.
  await world.api.delete(paths.lease);
});

const startReplica = (name: string, args: readonly string[], server?: string): Promise<Operator> =>
  world.start({ args, env: { POD_NAME: name }, ...(server === undefined ? {} : { server }) });

const lease = (): Promise<Lease> => world.api.get<Lease>(paths.lease);

/** Waits until a replica leads. Returns its Lease. */
const leads = (name: string): Promise<Lease> =>
  eventually(
    async () => {
      const held = await lease();
      assert.equal(held.spec.holderIdentity, name);
      return held;
    },
    { message: `${name} does not lead`, timeoutMs: 60_000 },
  );

async function startLeader(name: string, args: readonly string[]): Promise<Operator> {
  const leader = await startReplica(name, args);
  await leads(name);
  return leader;
}

/** Kills the leader and deletes its Lease. Otherwise the standby would wait until the Lease expires. */
async function replace(leader: Operator): Promise<void> {
  await leader.kill();
  await world.api.delete(paths.lease);
}

/** The names of the metrics that only a leader has, as a replica serves them. */
async function leaderMetrics({ url }: Operator): Promise<Set<string | undefined>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const pattern =
    /^(?:# (?:HELP|TYPE) )?(workqueue_(?:depth|unfinished\w+|longest\w+)|controller_runtime_(?:active|max)\w+|mtls_operator_rotation\w+)[{ ]/gm;
  return new Set([...text.matchAll(pattern)].map(([, name]) => name));
}

const authorityStatus = async () => (await world.authority('default')).status ?? {};
const activeRoot = async (): Promise<string | undefined> => (await authorityStatus()).activeRoot?.fingerprint;

describe('2. Intent survives: two replicas', () => {
  // A failure means: a standby writes, or the leader overwrites an existing root. Some pods would then trust a root
  // that other pods do not know.
  it('that start at the same time in an empty cluster create one authority and one root', async () => {
    await Promise.all([startReplica('first', longLease), startReplica('second', longLease)]);
    await eventually(async () => assert.notEqual(await activeRoot(), undefined));
    const pairs = await pairsIn(world, 'both');
    await pairs.create(['a']);
    await pairs.endAs(pairsAt(['a'], 1));
    const states = await world.watched.upTo(await world.rootSecret('mtls-root'));
    const roots = new Set(states.map(({ data }) => data?.['tls.crt']));
    assert.equal(roots.size, 1, 'the root Secret had another root at some time');
    await eventually(() => {
      const created = world.logs().filter(({ message }) => message === 'created an authority');
      assert.equal(created.length, 1);
    });
  });
});

describe('2. Intent survives: a replica that takes over', () => {
  // A failure means that the new leader signs with the root that it knew as a standby. If the key of that root leaked, the
  // leaked key signs again, and the new leader replaces all certificates of the current root as foreign.
  it('uses the current root, even if the root was replaced while it was a standby', async () => {
    const pairs = await pairsIn(world, 'root');
    const leader = await startLeader('knowing', longLease);
    await pairs.create(['before']);
    await pairs.endAs(pairsAt(['before'], 1));
    const standby = await startReplica('ignorant', longLease);
    const ofController = ['controller_runtime_active_workers', 'controller_runtime_max_concurrent_reconciles'];
    const ofQueue = ['depth', 'unfinished_work_seconds', 'longest_running_processor_seconds'];
    const expected = new Set([...ofController, ...ofQueue.map((name) => `workqueue_${name}`)]);
    await eventually(async () => assert.deepEqual(await leaderMetrics(leader), expected));
    assert.deepEqual(await leaderMetrics(standby), new Set());

    // No pods run here, so the rotation need not wait for them.
    await world.patchAuthority('default', { spec: { rotation: { propagationDelay: '0s' } } });
    const replaced = await activeRoot();
    await world.api.delete(paths.rootSecret('mtls-root'));
    await eventually(async () => {
      const { activeRoot: now, rotation } = await authorityStatus();
      assert.notEqual(now?.fingerprint, replaced);
      assert.equal(rotation, undefined);
    });
    // The operator issued each certificate a second time when the root was replaced, so this rotation is the third time.
    await pairs.rotate(['before'], 'turn-1');
    await pairs.endAs(pairsAt(['before'], 3, 'turn-1'));
    await replace(leader);
    await leads('ignorant');
    await eventually(async () => assert.deepEqual(await leaderMetrics(standby), expected));
    await pairs.rotate(['before'], 'turn-2');
    await pairs.endAs(pairsAt(['before'], 4, 'turn-2'));

    const certificates = await pairs.tenant.list();
    const signers = certificates.flatMap(({ status }) => status?.secrets ?? []).map((entry) => entry.rootFingerprint);
    assert.deepEqual(new Set(signers), new Set([await activeRoot()]));
    for (const [uid, versionsOfSecret] of Map.groupBy(pairs.history.versions, (version) => version.uid)) {
      const changes = versionsOfSecret
        .map(({ bundle }) => bundle)
        .filter((bundle, index, all) => bundle !== all[index - 1]);
      assert.equal(new Set(changes).size, changes.length, `the bundle of ${uid} changed back to an earlier state`);
    }
  });

  // A failure means: a token that was handled long ago acts again, because the replica has not yet seen that it was handled,
  // but sees the Secret that a later token led to.
  it('rotates nothing for an old token, even if its cache of the resource is outdated', async () => {
    const pairs = await pairsIn(world, 'stale');
    const leader = await startLeader('fresh', longLease);
    await pairs.create(['a']);
    await pairs.endAs(pairsAt(['a'], 1));
    const other = await pairsIn(world, 'bystander');
    await other.create(['b']);
    await other.endAs(pairsAt(['b'], 1));
    const bystander = paths.secrets(other.namespace, 'b-server-tls');
    try {
      const catchUp = Promise.withResolvers<void>();
      let isBehind = false;
      world.proxy.faults = {
        async onEvents({ path }, text) {
          // The replica sees the token, but no event from the status on that says it is handled.
          isBehind ||= path.endsWith('/mtlscertificates') && text.includes('"lastHandledRotate":"turn-1"');
          if (isBehind && path.endsWith('/mtlscertificates')) await catchUp.promise;
        },
      };
      await startReplica('behind', longLease, world.proxy.server);
      await pairs.rotate(['a'], 'turn-1');
      await pairs.endAs(pairsAt(['a'], 2, 'turn-1'));
      await pairs.rotate(['a'], 'turn-2');
      await pairs.endAs(pairsAt(['a'], 3, 'turn-2'));
      await replace(leader);
      await leads('behind');
      assert.ok(isBehind);
      await world.api.delete(bystander);
      // When this Secret is repaired, the replica has also reconciled the outdated resource, which was queued before.
      await eventually(() => world.api.get(bystander), { timeoutMs: 60_000 });
      catchUp.resolve();
      await pairs.rotate(['a'], 'turn-3');
      await pairs.endAs(pairsAt(['a'], 4, 'turn-3'));
    } finally {
      world.proxy.faults = {};
    }
  });
});

describe('2. Intent survives: two replicas', () => {
  const names = pairNames(60);

  /** Creates the pairs, and disturbs the leader when it has issued some of them. */
  async function createWhile(pairs: Pairs, disturb: () => Promise<void>): Promise<void> {
    const disturbing = pairs.history.reaches(50).then(disturb);
    await pairs.create(names);
    await disturbing;
  }

  // A failure means: no replica continues the work of a leader that died, or two leaders do it; or a replica takes a Lease
  // that has not expired, and two replicas write.
  it('continue the work of a killed leader when its Lease has expired, and not earlier', async () => {
    const pairs = await pairsIn(world, 'failover');
    const leader = await startLeader('killed', shortLease);
    await startReplica('standby', shortLease);
    await createWhile(pairs, () => leader.kill());
    await leads('standby');
    await pairs.endAs(pairsAt(names, 1));
    // On a slow machine, a Lease can expire while its holder lives.
    for (const silentMs of await silences('killed', 'standby'))
      assert.ok(silentMs >= leaseDurationMs, `taken over after ${silentMs} ms`);
  });

  // A failure means: a leader that stops keeps its Lease, so that each rollout of the operator interrupts issuing for the
  // lease duration; or it stops during a write.
  it('hand over immediately when the leader is stopped, however long the Lease', async () => {
    const pairs = await pairsIn(world, 'handover');
    const leader = await startLeader('ended', longLease);
    await startReplica('heir', longLease);
    await createWhile(pairs, () => leader.stop());
    // The heir leads long before the Lease expires, which would take five minutes.
    await leads('heir');
    await pairs.endAs(pairsAt(names, 1));
  });

  // A failure means: a leader that was paused (a paused machine, heavy swapping) continues to write from outdated knowledge:
  // a second key for a revision that its successor issued, or a rotation that both handle.
  it('do all work once, even if leaders are paused in the middle of it and resume much later (25 s: Leases have to expire)', async () => {
    const pairs = await pairsIn(world, 'pause');
    const left = await startLeader('left', shortLease);
    const replicas = { left, right: await startReplica('right', shortLease) };

    const creating = pauseLeader(replicas, pairs.history.reaches(50));
    await pairs.create(names);
    await whilePaused(await creating, () => pairs.endAs(pairsAt(names, 1)));
    const rotating = pauseLeader(replicas, pairs.history.reaches(170));
    await pairs.rotate(names, 'turn-1');
    await whilePaused(await rotating, () => pairs.endAs(pairsAt(names, 2, 'turn-1')));
    await pairs.rotate(names, 'turn-2');
    await pairs.endAs(pairsAt(names, 3, 'turn-2'));
  });

  /** How long after the last renewal by one of these replicas the other one took the Lease, each time, in milliseconds. */
  async function silences(...names: readonly string[]): Promise<readonly number[]> {
    const { resourceVersion } = (await lease()).metadata;
    await eventually(() => assert.ok(leases.some(({ metadata }) => metadata.resourceVersion === resourceVersion)));
    const specs = leases.map(({ spec }) => spec).filter(({ holderIdentity }) => names.includes(holderIdentity));
    const found = specs.flatMap(({ holderIdentity, acquireTime }, index) => {
      const before = specs[index - 1];
      if (before === undefined || before.holderIdentity === holderIdentity) return [];
      return [Date.parse(acquireTime) - Date.parse(before.renewTime)];
    });
    assert.ok(found.length > 0, 'the watch has seen no take-over');
    return found;
  }

  interface Paused {
    readonly leader: Operator;
    readonly standby: string;
  }

  /** Pauses at a moment the replica that leads then. */
  async function pauseLeader(replicas: Readonly<Record<string, Operator>>, moment: Promise<void>): Promise<Paused> {
    await moment;
    return eventually(async () => {
      const { holderIdentity } = (await lease()).spec;
      const leader = replicas[holderIdentity];
      const standby = Object.keys(replicas).find((name) => name !== holderIdentity);
      assert.ok(leader !== undefined && standby !== undefined, holderIdentity);
      process.kill(leader.pid, 'SIGSTOP');
      const isHolder = (await lease()).spec.holderIdentity === holderIdentity;
      const terms = leader.logs.filter(({ message }) => /^(became|no longer) the leader$/.test(String(message)));
      if (isHolder && terms.at(-1)?.['message'] === 'became the leader') return { leader, standby };
      // On a slow machine, a leader with such a short Lease can step down at any moment.
      process.kill(leader.pid, 'SIGCONT');
      return assert.fail(`${holderIdentity} is no longer the leader`);
    });
  }

  /** Waits until the other replica leads, works, and resumes the paused one. Asserts that it notices that it no longer leads. */
  async function whilePaused({ leader, standby }: Paused, work: () => Promise<void>): Promise<void> {
    const steppedDown = (): number => leader.logs.filter(({ message }) => message === 'no longer the leader').length;
    const before = steppedDown();
    await leads(standby);
    await work();
    process.kill(leader.pid, 'SIGCONT');
    // The leader can step down more than once.
    await eventually(() => assert.ok(steppedDown() > before, `the leader does not step down:\n${leader.logTail()}`));
  }
});
