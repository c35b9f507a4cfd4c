import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { samePod } from '../../support/faults/kill-after-write.ts';
import { pairsAt } from '../../support/faults/namespace-state.ts';
import { type Pairs, pairNames, pairsIn } from '../../support/faults/pairs.ts';
import { installation } from '../../support/installation.ts';
import type { Exchange } from '../../support/proxy.ts';

const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];

const world = installation({ operator: false });
afterEach(() => world.killOperators());

describe('2. Intent survives: a network that', () => {
  const startBehindProxy = () => world.start({ ...samePod, server: world.proxy.server });

  /** Issues and rotates pairs under a fault, which is made anew for each of the two. */
  async function issueAndRotate(name: string, count: number, fault: (pairs: Pairs) => void): Promise<void> {
    const names = pairNames(count);
    const pairs = await pairsIn(world, name);
    try {
      fault(pairs);
      await pairs.create(names);
      await pairs.endAs(pairsAt(names, 1));
      fault(pairs);
      await pairs.rotate(names, 'turn-1');
      await pairs.endAs(pairsAt(names, 2, 'turn-1'));
    } finally {
      world.proxy.faults = {};
    }
  }

  // Broken if it fails: a write whose reply was lost is taken for one that did not happen and is made again, with another
  // key or another root; or it is taken for one that did happen, and what it did not do is never done.
  it('loses the replies to writes that were carried out leads to the same end, with one revision of each', async () => {
    let lost = new Map<string, number>();
    const loseReplies = (): void => {
      lost = new Map();
      world.proxy.faults = {
        onReply({ method, path }) {
          if (method === 'GET' || path.includes('/leases')) return 'pass';
          const what = `${method} ${path}`;
          lost.set(what, (lost.get(what) ?? 0) + 1);
          // Creations share the path of their collection.
          return (lost.get(what) ?? 0) <= (method === 'POST' ? 5 : 1) ? 'break' : 'pass';
        },
      };
    };
    // The first thing in this cluster: the authority and its root are made under it, too.
    loseReplies();
    await startBehindProxy();
    await issueAndRotate('lost', 10, loseReplies);
    assert.ok(
      [...lost.keys()].some((what) => /^PATCH .*\/secrets\//.test(what)),
      'no reply to a rotation was lost',
    );
  });

  // Broken if it fails: the reflector stops for good or forgets its place, so that changes made meanwhile are never seen.
  it('cuts all connections again and again, watches included, delays the work and changes nothing', async () => {
    await startBehindProxy();
    const over = new AbortController();
    const cut = async ({ history }: Pairs): Promise<void> => {
      for (let count = 10; !over.signal.aborted; count += 10) {
        await Promise.race([history.reaches(count), delay(500)]);
        world.proxy.cut();
      }
    };
    let cutting: Promise<void> | undefined;
    try {
      await issueAndRotate('cut', 40, (pairs) => {
        cutting ??= cut(pairs);
      });
    } finally {
      over.abort();
      await cutting;
    }
  });

  // Broken if it fails: a decision rests on a cache that is behind, and the write that follows has no precondition that
  // would say so.
  it('delays each reply and each event by another while leads to the same end', async () => {
    await startBehindProxy();
    await issueAndRotate('delay', 20, () => {
      const wait = (): Promise<void> => delay(Math.random() * 200);
      world.proxy.faults = {
        onEvents: wait,
        async onReply() {
          await wait();
          return 'pass' as const;
        },
      };
    });
  });

  // Broken if it fails: as before, at its worst: the operator never sees by its watch what it has written.
  it('withholds the events of Secrets lets one rotation after the other be handled once', async () => {
    await startBehindProxy();
    const names = pairNames(5);
    const pairs = await pairsIn(world, 'withhold');
    await pairs.create(names);
    await pairs.endAs(pairsAt(names, 1));
    const release = Promise.withResolvers<void>();
    world.proxy.faults = {
      async onEvents({ path }) {
        if (path.endsWith('/secrets')) await release.promise;
      },
    };
    try {
      for (const [index, token] of ['turn-1', 'turn-2', 'turn-3'].entries()) {
        await pairs.rotate(names, token);
        await pairs.endAs(pairsAt(names, index + 2, token));
      }
      release.resolve();
      await pairs.rotate(names, 'turn-4');
      await pairs.endAs(pairsAt(names, 5, 'turn-4'));
    } finally {
      world.proxy.faults = {};
      release.resolve();
    }
  });

  // Broken if it fails: an API server that asks for patience is asked again at once by everything that waits, or what it
  // refused is given up.
  it('has an API server behind it that answers 429 for a while gets its answers late', async () => {
    await startBehindProxy();
    const asked = new Map<string, number[]>();
    await issueAndRotate('throttled', 5, ({ namespace }) => {
      asked.clear();
      world.proxy.faults = {
        onRequest({ method, path }: Exchange) {
          const what = `${method} ${path}`;
          if (path.includes('/leases')) return 'pass';
          const times = [...(asked.get(what) ?? []), performance.now()];
          asked.set(what, times);
          const isCreation = method === 'POST' && path.includes(`/${namespace}/`);
          if (times.length > (isCreation ? 20 : 2)) return 'pass';
          const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'TooManyRequests', code: 429 };
          return { status: 429, headers: { 'retry-after': '1' }, body };
        },
      };
      world.proxy.cut();
    });
    const impatient = [...asked].filter(
      ([what, [first = 0, second = Number.POSITIVE_INFINITY]]) => what.startsWith('PATCH') && second - first < 1000,
    );
    assert.deepEqual(impatient, [], 'asked again before Retry-After was over');
  });

  // Broken if it fails: what changed while the operator did not look and is no longer kept as history is never seen: a
  // new resource that stays without Secrets, a Secret that stays deleted, a token that is not handled.
  it('is away while the API server compacts the place where the operator was in its watches makes it list again (30 s: the API server is away)', async () => {
    await startBehindProxy();
    const pairs = await pairsIn(world, 'gone');
    await pairs.create(['a', 'deleted', 'mended']);
    await pairs.endAs(pairsAt(['a', 'deleted', 'mended'], 1));

    // Not merely paused: events that were sent already would still be waiting for it.
    world.proxy.faults = { onRequest: () => 'break' };
    world.proxy.cut();
    await pairs.rotate(['a', 'mended'], 'turn-1');
    await pairs.tenant.delete('deleted');
    for (const role of ['server', 'client']) {
      await world.api.delete(paths.secrets(pairs.namespace, `mended-${role}-tls`));
    }
    await pairs.create(['new']);
    await world.cluster.compact();
    world.proxy.faults = {};

    const [rotated, issued] = [pairsAt(['a', 'mended'], 2, 'turn-1'), pairsAt(['new'], 1)];
    const expected = {
      certificates: { ...rotated.certificates, ...issued.certificates },
      secrets: { ...rotated.secrets, ...issued.secrets },
    };
    await pairs.endAs(expected);
    const listedAgain = world.operator.logs.filter(
      ({ message }) => message === 'the place in the watch is lost; listing again',
    );
    assert.ok(
      listedAgain.some((line) => line['resource'] === 'mtlscertificates'),
      'no watch was answered with 410',
    );
  });
});

describe('the API server', () => {
  // Broken if it fails: the operator ends, hangs or works on from an old view when the API server is upgraded under it.
  it('is restarted under the running operator, and the same process does what is asked for afterwards', async () => {
    await world.start(samePod);
    await survives('restart', () => world.cluster.restartApiServer());
  });

  // Broken if it fails: a leader that has lost its Lease never campaigns again, or ends, or has gone on writing without it.
  it('is away for longer than the Lease lasts, and the same process leads again afterwards', async () => {
    await world.start({ ...samePod, args: shortLease });
    await survives('away', async () => {
      await world.cluster.stopApiServer();
      const stepsDown = (): void =>
        assert.ok(world.operator.logs.some(({ message }) => message === 'no longer the leader'));
      await eventually(stepsDown, { message: 'it still leads', timeoutMs: 60_000 });
      await world.cluster.startApiServer();
    });
  });

  async function survives(name: string, outage: () => Promise<void>): Promise<void> {
    const names = pairNames(10);
    const pairs = await pairsIn(world, name);
    await pairs.create(names);
    await pairs.endAs(pairsAt(names, 1));
    await outage();
    await pairs.rotate(names, 'turn-1');
    await pairs.endAs(pairsAt(names, 2, 'turn-1'));
    // It throws when the process has ended.
    process.kill(world.operator.pid, 0);
  }
});
