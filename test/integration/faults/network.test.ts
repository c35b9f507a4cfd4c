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
import { randomFrom } from '../../support/random.ts';

const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];

const world = installation({ operator: false });
afterEach(() => world.killOperators());

describe('2. Intent survives: with a network that', () => {
  const startBehindProxy = () => world.start({ ...samePod, server: world.proxy.server });

  /** Issues and rotates pairs under a fault. `fault` is called before each of the two. */
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

  // A failure means: a write whose response was lost is treated as failed and repeated with another key or another root; or
  // it is treated as successful, and its effect is missing.
  it('loses responses to successful writes, the operator reaches the same state, with one revision of each Secret', async () => {
    let lost = new Map<string, number>();
    const loseReplies = (): void => {
      lost = new Map();
      world.proxy.faults = {
        onReply({ method, path }) {
          if (method === 'GET' || path.includes('/leases')) return 'pass';
          const request = `${method} ${path}`;
          lost.set(request, (lost.get(request) ?? 0) + 1);
          // Creations share the path of their collection.
          return (lost.get(request) ?? 0) <= (method === 'POST' ? 5 : 1) ? 'break' : 'pass';
        },
      };
    };
    // The first operator of this cluster: it also creates the authority and its root under this fault.
    loseReplies();
    await startBehindProxy();
    await issueAndRotate('lost', 10, loseReplies);
    assert.ok(
      [...lost.keys()].some((request) => /^PATCH .*\/secrets\//.test(request)),
      'no response to a rotation was lost',
    );
  });

  // A failure means: the reflector stops or loses its resourceVersion, so that it never sees changes made meanwhile.
  it('cuts all connections repeatedly, watches included, the operator is slower but reaches the same state', async () => {
    await startBehindProxy();
    const over = new AbortController();
    const cut = async ({ history }: Pairs): Promise<void> => {
      // Without progress, a slow machine needs longer than the last pause to connect again.
      for (let count = 10, pauseMs = 500; !over.signal.aborted; count += 10) {
        const before = history.versions.length;
        await Promise.race([history.reaches(count), delay(pauseMs)]);
        pauseMs = history.versions.length > before ? 500 : 2 * pauseMs;
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

  // A failure means: a decision is based on an outdated cache, and the write that follows has no precondition that would
  // detect it.
  it('delays each response and each event differently, the operator reaches the same state', async () => {
    await startBehindProxy();
    await issueAndRotate('delay', 20, () => {
      const random = randomFrom(1);
      const wait = (): Promise<void> => delay(random() * 200);
      world.proxy.faults = {
        onEvents: wait,
        async onReply() {
          await wait();
          return 'pass' as const;
        },
      };
    });
  });

  // The same failure in its worst case: the watch never shows the operator its own writes.
  it('withholds all events of Secrets, the operator handles several rotations once each', async () => {
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

  // A failure means: all waiting requests retry immediately although the API server asks them to wait, or refused requests
  // are given up.
  it('returns 429 for a while, the operator waits for Retry-After before it retries', async () => {
    await startBehindProxy();
    const sent = new Map<string, number[]>();
    await issueAndRotate('throttled', 5, ({ namespace }) => {
      sent.clear();
      world.proxy.faults = {
        onRequest({ method, path }: Exchange) {
          const request = `${method} ${path}`;
          if (path.includes('/leases')) return 'pass';
          const times = [...(sent.get(request) ?? []), performance.now()];
          sent.set(request, times);
          const isCreation = method === 'POST' && path.includes(`/${namespace}/`);
          if (times.length > (isCreation ? 20 : 2)) return 'pass';
          const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'TooManyRequests', code: 429 };
          return { status: 429, headers: { 'retry-after': '1' }, body };
        },
      };
      world.proxy.cut();
    });
    const impatient = [...sent].filter(
      ([request, [first = 0, second = Number.POSITIVE_INFINITY]]) =>
        request.startsWith('PATCH') && second - first < 1000,
    );
    assert.deepEqual(impatient, [], 'requests were retried before Retry-After');
  });

  // A failure means: changes that the operator missed and whose history was compacted are never seen: a new resource without
  // Secrets, a deleted Secret, an unhandled token.
  it('fails while the API server compacts the resourceVersions of the watches, the operator lists again (30 s: for the outage)', async () => {
    await startBehindProxy();
    const pairs = await pairsIn(world, 'gone');
    await pairs.create(['a', 'deleted', 'repaired']);
    await pairs.endAs(pairsAt(['a', 'deleted', 'repaired'], 1));

    // Cutting the proxy is not enough: events that the API server has sent already would still arrive.
    world.proxy.faults = { onRequest: () => 'break' };
    world.proxy.cut();
    await pairs.rotate(['a', 'repaired'], 'turn-1');
    await pairs.tenant.delete('deleted');
    for (const role of ['server', 'client']) {
      await world.api.delete(paths.secrets(pairs.namespace, `repaired-${role}-tls`));
    }
    await pairs.create(['new']);
    await world.cluster.compact();
    world.proxy.faults = {};

    const [rotated, issued] = [pairsAt(['a', 'repaired'], 2, 'turn-1'), pairsAt(['new'], 1)];
    const expected = {
      certificates: { ...rotated.certificates, ...issued.certificates },
      secrets: { ...rotated.secrets, ...issued.secrets },
    };
    await pairs.endAs(expected);
    await eventually(() => {
      const listedAgain = world.operator.logs.filter(
        ({ message }) => message === 'the resourceVersion of the watch has expired; listing again',
      );
      assert.ok(
        listedAgain.some((line) => line['resource'] === 'mtlscertificates'),
        'no watch got 410',
      );
    });
  });
});

describe('the API server', () => {
  // A failure means: the operator exits, hangs or works with an outdated cache after an upgrade of the API server.
  it('can restart while the operator runs, and the same process handles later requests', async () => {
    await world.start(samePod);
    await survives('restart', () => world.cluster.restartApiServer());
  });

  // A failure means: a leader that lost its Lease never tries to get it again, or exits, or continued to write without it.
  it('can be down for longer than the Lease lasts, and the same process leads again afterwards', async () => {
    await world.start({ ...samePod, args: shortLease });
    await survives('away', async () => {
      await world.cluster.stopApiServer();
      const stepsDown = (): void =>
        assert.ok(world.operator.logs.some(({ message }) => message === 'no longer the leader'));
      await eventually(stepsDown, { message: 'the operator still leads', timeoutMs: 60_000 });
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
    // Throws if the process has exited.
    process.kill(world.operator.pid, 0);
  }
});
