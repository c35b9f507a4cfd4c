import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../../support/eventually.ts';
import { certificatesPath, pairsAt } from '../../support/faults/certificates.ts';
import { type FaultCluster, pairNames, startFaultCluster } from '../../support/faults/pairs.ts';
import { type Operator, startOperator } from '../../support/operator.ts';
import { type Exchange, type FaultyProxy, startProxy } from '../../support/proxy.ts';

const samePod = { env: { POD_NAME: 'replica' } };
const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];

let faults: FaultCluster;
let operator: Operator;
before(async () => {
  faults = await startFaultCluster();
});
after(() => faults.stop());
afterEach(() => operator.kill());

describe('2. Intent survives: a network that', () => {
  let proxy: FaultyProxy;
  before(async () => {
    proxy = await startProxy(faults.cluster);
  });
  after(() => proxy.stop());

  async function startBehindProxy(): Promise<void> {
    operator = await startOperator(faults.cluster, { ...samePod, server: proxy.server });
  }

  /** Issues and rotates pairs under a fault, which is made anew for each of the two. */
  async function issueAndRotate(name: string, count: number, fault: (namespace: string) => void): Promise<void> {
    const names = pairNames(count);
    const namespace = await faults.cluster.namespace(name);
    try {
      fault(namespace);
      await faults.createPairs(namespace, names);
      await faults.assertEndsAs(namespace, pairsAt(names, 1), operator);
      fault(namespace);
      await faults.requestRotations(namespace, names, 'turn-1');
      await faults.assertEndsAs(namespace, pairsAt(names, 2, 'turn-1'), operator);
    } finally {
      proxy.faults = {};
    }
  }

  // Broken if it fails: a write whose reply was lost is taken for one that did not happen and is made again, with another
  // key or another root; or it is taken for one that did happen, and what it did not do is never done.
  it('loses the replies to writes that were carried out leads to the same end, with one revision of each', async () => {
    let lost = new Map<string, number>();
    const loseReplies = (): void => {
      lost = new Map();
      proxy.faults = {
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
    const cutting = (async () => {
      for (let count = 10; !over.signal.aborted; count += 10) {
        const namespace = faults.history.versions.at(-1)?.namespace ?? '';
        await Promise.race([faults.history.reaches(namespace, count), delay(500)]);
        proxy.cut();
      }
    })();
    try {
      await issueAndRotate('cut', 40, () => {});
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
      proxy.faults = {
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
    const namespace = await faults.cluster.namespace('withhold');
    await faults.createPairs(namespace, names);
    await faults.assertEndsAs(namespace, pairsAt(names, 1), operator);
    const release = Promise.withResolvers<void>();
    proxy.faults = {
      async onEvents({ path }) {
        if (path.endsWith('/secrets')) await release.promise;
      },
    };
    try {
      for (const [index, token] of ['turn-1', 'turn-2', 'turn-3'].entries()) {
        await faults.requestRotations(namespace, names, token);
        await faults.assertEndsAs(namespace, pairsAt(names, index + 2, token), operator);
      }
      release.resolve();
      await faults.requestRotations(namespace, names, 'turn-4');
      await faults.assertEndsAs(namespace, pairsAt(names, 5, 'turn-4'), operator);
    } finally {
      proxy.faults = {};
      release.resolve();
    }
  });

  // Broken if it fails: an API server that asks for patience is asked again at once by everything that waits, or what it
  // refused is given up.
  it('has an API server behind it that answers 429 for a while gets its answers late', async () => {
    await startBehindProxy();
    const asked = new Map<string, number[]>();
    await issueAndRotate('throttled', 5, (namespace) => {
      asked.clear();
      proxy.faults = {
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
      proxy.cut();
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
    const namespace = await faults.cluster.namespace('gone');
    await faults.createPairs(namespace, ['a', 'deleted', 'mended']);
    await faults.assertEndsAs(namespace, pairsAt(['a', 'deleted', 'mended'], 1), operator);

    // Not merely paused: events that were sent already would still be waiting for it.
    proxy.faults = { onRequest: () => 'break' };
    proxy.cut();
    await faults.requestRotations(namespace, ['a', 'mended'], 'turn-1');
    await faults.api.delete(`${certificatesPath(namespace)}/deleted`);
    for (const role of ['server', 'client']) {
      await faults.api.delete(`/api/v1/namespaces/${namespace}/secrets/mended-${role}-tls`);
    }
    await faults.createPairs(namespace, ['new']);
    await faults.cluster.compact();
    proxy.faults = {};

    const [rotated, issued] = [pairsAt(['a', 'mended'], 2, 'turn-1'), pairsAt(['new'], 1)];
    const expected = {
      certificates: { ...rotated.certificates, ...issued.certificates },
      secrets: { ...rotated.secrets, ...issued.secrets },
    };
    await faults.assertEndsAs(namespace, expected, operator);
    const listedAgain = operator.logs.filter(
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
    operator = await startOperator(faults.cluster, samePod);
    await survives('restart', () => faults.cluster.restartApiServer());
  });

  // Broken if it fails: a leader that has lost its Lease never campaigns again, or ends, or has gone on writing without it.
  it('is away for longer than the Lease lasts, and the same process leads again afterwards', async () => {
    operator = await startOperator(faults.cluster, { ...samePod, args: shortLease });
    await survives('away', async () => {
      await faults.cluster.stopApiServer();
      const stepsDown = (): void => assert.ok(operator.logs.some(({ message }) => message === 'no longer the leader'));
      await eventually(stepsDown, { message: 'it still leads', timeoutMs: 60_000 });
      await faults.cluster.startApiServer();
    });
  });

  async function survives(name: string, outage: () => Promise<void>): Promise<void> {
    const names = pairNames(10);
    const namespace = await faults.cluster.namespace(name);
    await faults.createPairs(namespace, names);
    await faults.assertEndsAs(namespace, pairsAt(names, 1), operator);
    await outage();
    await faults.requestRotations(namespace, names, 'turn-1');
    await faults.assertEndsAs(namespace, pairsAt(names, 2, 'turn-1'), operator);
    // It throws when the process has ended.
    process.kill(operator.pid, 0);
  }
});
