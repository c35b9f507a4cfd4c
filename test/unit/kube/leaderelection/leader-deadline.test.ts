import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { type Lease, microTimestamp } from '../../../../src/kube/index.ts';
import {
  type Candidate,
  type CandidateOptions,
  ElectionWorld,
  type Fate,
  lost,
  prompt,
  refused,
  timing,
} from './election-world.ts';

type Spec = NonNullable<Lease['spec']>;

const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = timing;

/** A world with a candidate that leads. It acquired the Lease at 1 ms. */
async function ledBy(
  identity: string,
  options: Omit<CandidateOptions, 'identity'> = {},
): Promise<{ world: ElectionWorld; leader: Candidate }> {
  const world = new ElectionWorld();
  const leader = world.start({ identity, ...options });
  await world.leads(leader);
  return { world, leader };
}

/** A world with a Lease of another program, which does not renew it. */
function heldBy(spec: Spec): ElectionWorld {
  const world = new ElectionWorld();
  world.server.put(spec);
  return world;
}

describe('a leader that cannot renew stops one renew deadline after it sent its last renewal', () => {
  const rows: Readonly<Record<string, readonly Fate[]>> = {
    'if the API server does not answer': [lost],
    'if the API server refuses every request': [refused],
    'if every connection breaks': [{ ...prompt, outcome: 'cut before' }],
    'if the API server processes each renewal, but every answer is lost': [{ ...prompt, outcome: 'lost after' }],
    'if the API server processes each renewal, but every connection breaks': [
      { ...prompt, outcome: 'cut after', backMs: 500 },
    ],
    'if the last renewal was answered late': [{ ...prompt, backMs: 7_000 }, lost],
    'if the last renewal arrived late': [{ ...prompt, thereMs: 7_000 }, lost],
    'if reading and writing each take just less than the deadline': [refused, { ...prompt, thereMs: 5_900 }],
    'if a read is answered just before the deadline': [refused, { ...prompt, backMs: 5_998 }, lost],
  };
  for (const [title, fates] of Object.entries(rows)) {
    test(title, async () => {
      const { world, leader } = await ledBy('me');
      world.decide(...fates);
      await world.pass(60_000, () => leader.lostAfterMs.length > 0);
      assert.deepEqual(leader.lostAfterMs, [renewDeadlineMs]);
      world.decide(prompt);
      await world.end();
    });
  }

  test('if the Lease was deleted and cannot be created', async () => {
    const { world, leader } = await ledBy('me');
    world.server.lease = undefined;
    world.decide(refused, { ...prompt, thereMs: 5_900 }, lost);
    await world.pass(60_000, () => leader.lostAfterMs.length > 0);
    assert.deepEqual(leader.lostAfterMs, [renewDeadlineMs]);
    assert.equal(leader.sent.filter(({ verb }) => verb === 'create').length, 2);
    world.decide(prompt);
    await world.end();
  });

  test('if it has just acquired the Lease and the answer was late', async () => {
    const world = new ElectionWorld();
    world.decide(prompt, { ...prompt, backMs: 9_000 }, lost);
    const leader = world.start({ identity: 'me' });
    await world.pass(60_000, () => leader.lostAfterMs.length > 0);
    assert.deepEqual([leader.begun, leader.lostAfterMs], [[9_001], [renewDeadlineMs]]);
    world.decide(prompt);
    await world.end();
  });

  test('and leads again later, even if its work ended with an error', async () => {
    const { world, leader } = await ledBy('me', { failsWhenLost: true });
    world.decide(lost);
    await world.pass(60_000, () => leader.lostAfterMs.length > 0);
    world.decide(prompt);
    await world.leads(leader);
    assert.deepEqual([leader.begun.length, leader.lostAfterMs], [2, [renewDeadlineMs]]);
    await world.end();
  });

  test('if its work continues after a stop', async () => {
    const { world, leader } = await ledBy('me', { drainMs: 60_000 });
    world.decide(lost);
    leader.stop();
    await world.pass(60_000, () => leader.lostAfterMs.length > 0);
    assert.deepEqual(leader.lostAfterMs, [renewDeadlineMs]);
    await world.end();
  });
});

describe('a leader whose renewals fail for a while', () => {
  const rows: Readonly<Record<string, readonly Fate[]>> = {
    'continues to lead if the API server refuses some of them': [refused, refused, prompt],
    'continues to lead if answers are lost and it reads its own writes': [
      { ...prompt, outcome: 'cut after' },
      { ...prompt, outcome: 'cut after' },
      prompt,
    ],
    'continues to lead if an attempt succeeds just before the deadline': [
      refused,
      { ...prompt, thereMs: 5_900 },
      { ...prompt, backMs: 90 },
      prompt,
    ],
  };
  for (const [title, fates] of Object.entries(rows)) {
    test(title, async () => {
      const { world, leader } = await ledBy('me');
      world.decide(...fates);
      await world.pass(60_000);
      assert.deepEqual([leader.isActing, leader.lostAfterMs], [true, []]);
      await world.end();
    });
  }

  test('reads the Lease once after a failure, and otherwise renews with one request', async () => {
    const { world, leader } = await ledBy('me');
    leader.sent.length = 0;
    world.decide(prompt, refused, prompt);
    await world.pass(5 * (retryPeriodMs + 2));
    assert.deepEqual(
      leader.sent.map(({ verb }) => verb),
      ['replace', 'replace', 'get', 'replace', 'replace', 'replace'],
    );
    await world.end();
  });

  test('stops as soon as it reads that another candidate holds the Lease, and does not write it', async () => {
    const { world, leader } = await ledBy('me');
    world.server.put({ ...world.server.spec, holderIdentity: 'usurper' });
    await world.pass(2 * retryPeriodMs + 10);
    assert.deepEqual([leader.isActing, leader.lostAfterMs.length], [false, 1]);
    await world.end();
    assert.equal(world.server.spec.holderIdentity, 'usurper');
  });
});

describe('a candidate takes the Lease of another leader', () => {
  const held: Spec = { holderIdentity: 'other', leaseDurationSeconds: 7, renewTime: '2001-01-01T00:00:00.000000Z' };
  const period = retryPeriodMs + 1;
  /** The time of the first read at `ms` or later. A read takes 1 ms, and there is a retry period between two reads. */
  const readAfter = (ms: number): number => Math.ceil(ms / period) * period;

  /** When the candidate sent the write that took the Lease. */
  async function takenAtMs(world: ElectionWorld, change?: { atMs: number; act: () => void }): Promise<number> {
    mock.method(Math, 'random', () => 0);
    try {
      const candidate = world.start({ identity: 'me' });
      if (change !== undefined) {
        await world.pass(change.atMs);
        change.act();
      }
      await world.leads(candidate);
      return candidate.sent.at(-1)?.sentAtMs ?? Number.NaN;
    } finally {
      mock.restoreAll();
    }
  }

  const unchanged: Readonly<Record<string, [spec: Spec, durationMs: number]>> = {
    'when it has not changed for its duration': [held, 7_000],
    'when it has no duration and has not changed for the duration of the candidate': [
      { holderIdentity: 'other' },
      leaseDurationMs,
    ],
    'whatever the times in the Lease': [{ ...held, renewTime: '2099-01-01T00:00:00.000000Z' }, 7_000],
    'when its duration is longer than that of the candidate': [{ ...held, leaseDurationSeconds: 40 }, 40_000],
  };
  for (const [title, [spec, durationMs]] of Object.entries(unchanged)) {
    test(title, async () => {
      const world = heldBy(spec);
      // The first answer arrives at 1 ms.
      assert.equal(await takenAtMs(world), readAfter(durationMs) + 1);
      await world.end();
    });
  }

  test('at the exact millisecond, and not one before', async () => {
    for (const [lateMs, takenMs] of [
      [999, 8_999],
      [1_000, 7_000],
    ] as const) {
      const world = heldBy(held);
      const atOnce = { ...prompt, backMs: 0 };
      world.decide(atOnce, atOnce, atOnce, { ...prompt, backMs: lateMs }, atOnce);
      assert.equal(await takenAtMs(world), takenMs);
      await world.end();
    }
  });

  test('counted from the first answer with the Lease, even if it is late', async () => {
    const world = heldBy(held);
    world.decide({ ...prompt, backMs: 5_000 }, prompt);
    assert.equal(await takenAtMs(world), 5_000 + readAfter(7_000));
    await world.end();
  });

  const later: Readonly<Record<string, [change: (world: ElectionWorld) => void, durationMs: number]>> = {
    'counted from the answer that showed the last renewal': [
      ({ server }) => server.put({ ...held, renewTime: '2001-01-01T00:00:08.000000Z' }),
      7_000,
    ],
    'counted from the answer that showed that a third candidate took it': [
      ({ server }) => server.put({ ...held, holderIdentity: 'third' }),
      7_000,
    ],
    'after the new duration when the duration was changed': [
      ({ server }) => server.put({ ...held, leaseDurationSeconds: 9 }),
      9_000,
    ],
  };
  for (const [title, [change, durationMs]] of Object.entries(later)) {
    test(title, async () => {
      const world = heldBy(held);
      const seenAtMs = readAfter(5_000) + 1;
      assert.equal(await takenAtMs(world, { atMs: 5_000, act: () => change(world) }), seenAtMs + readAfter(durationMs));
      await world.end();
    });
  }

  test('at the same time if only a label of the Lease was changed', async () => {
    const world = heldBy(held);
    const act = (): void => void world.server.put(held, { team: 'a' });
    assert.equal(await takenAtMs(world, { atMs: 5_000, act }), readAfter(7_000) + 1);
    await world.end();
  });

  test('at its next read when the Lease was released', async () => {
    const world = heldBy({ ...held, leaseDurationSeconds: 3600 });
    const act = (): void => void world.server.put({ ...held, holderIdentity: '' });
    assert.equal(await takenAtMs(world, { atMs: 5_000, act }), readAfter(5_000) + 1);
    await world.end();
  });

  test('at the same time if some of its reads fail', async () => {
    const world = heldBy(held);
    world.decide(prompt, refused, refused, refused, prompt);
    assert.equal(await takenAtMs(world), readAfter(7_000) + 1);
    await world.end();
  });

  test('and reads it every 1 to 1.2 retry periods', async () => {
    for (const [random, expectedMs] of [
      [0, retryPeriodMs],
      [0.999_999, 1.2 * retryPeriodMs],
    ] as const) {
      mock.method(Math, 'random', () => random);
      const world = heldBy({ ...held, leaseDurationSeconds: 3600 });
      const { sent } = world.start({ identity: 'me' });
      await world.pass(10_000);
      mock.restoreAll();
      const pauses = sent.slice(1).map(({ sentAtMs }, index) => sentAtMs - (sent[index]?.sentAtMs ?? 0) - 1);
      assert.deepEqual(
        pauses.map(Math.round),
        Array.from({ length: pauses.length }, () => expectedMs),
      );
      assert.ok(pauses.length >= 4);
      await world.end();
    }
  });
});

describe('the Lease contains', () => {
  const other: Spec = {
    holderIdentity: 'other',
    leaseDurationSeconds: 3,
    acquireTime: '2001-01-01T00:00:00.000000Z',
    renewTime: '2001-01-01T00:00:09.000000Z',
    leaseTransitions: 4,
  };
  const me = { holderIdentity: 'me', leaseDurationSeconds: 15 };
  /** Without `acquireTime`, which is the time of the write. */
  const rows: Readonly<Record<string, [before: Spec | undefined, expected: Spec]>> = {
    'its first leader and no transition': [undefined, { ...me, leaseTransitions: 0 }],
    'its first leader if the Lease existed without a leader': [{}, { ...me, leaseTransitions: 0 }],
    'a leader that follows another one, and the time': [other, { ...me, leaseTransitions: 5 }],
    'a leader that follows a release': [
      { ...other, holderIdentity: '' },
      { ...me, leaseTransitions: 5 },
    ],
    'a leader that starts again with the same identity, and its first acquireTime': [
      { ...other, holderIdentity: 'me' },
      { ...me, leaseTransitions: 4, acquireTime: '2001-01-01T00:00:00.000000Z' },
    ],
  };
  for (const [title, [before, expected]] of Object.entries(rows)) {
    test(title, async () => {
      const world = new ElectionWorld();
      if (before !== undefined) world.server.put(before);
      const leader = world.start({ identity: 'me' });
      await world.leads(leader);
      const written = (): string => microTimestamp(world.timeline.wallClock(leader.sent.at(-1)?.sentAtMs ?? 0));
      const taken = { acquireTime: written(), ...expected };
      assert.deepEqual(world.server.spec, { ...taken, renewTime: written() });
      await world.pass(retryPeriodMs + 1);
      assert.deepEqual(world.server.spec, { ...taken, renewTime: written() });
      await world.end();
      const released = { holderIdentity: '', leaseDurationSeconds: 1 };
      assert.deepEqual(world.server.spec, { ...taken, ...released, renewTime: written() });
    });
  }
});

describe('a leader that has ended its work releases the Lease', () => {
  test('after its work, not at the stop', async () => {
    const { world, leader } = await ledBy('me', { drainMs: 20_000 });
    leader.stop();
    await world.pass(19_990);
    assert.deepEqual([leader.isActing, world.server.spec.holderIdentity], [true, 'me']);
    await world.pass(20);
    assert.deepEqual([leader.isActing, world.server.spec.holderIdentity], [false, '']);
    await leader.ended;
  });

  test('even if an aborted renewal arrives in between', async () => {
    const { world, leader } = await ledBy('me', { drainMs: retryPeriodMs + 5 });
    // The renewal is in transit when the work ends, and arrives after the release has read the Lease.
    world.decide({ ...prompt, thereMs: 100 }, prompt, { ...prompt, thereMs: 200 }, prompt);
    leader.stop();
    await world.pass(10_000);
    await leader.ended;
    assert.equal(world.server.spec.holderIdentity, '');
    const verbs = leader.sent.map(({ verb }) => verb);
    assert.deepEqual(verbs.slice(-5), ['replace', 'get', 'replace', 'get', 'replace']);
  });

  test('unless another candidate holds it by then', async () => {
    const { world, leader } = await ledBy('me', { drainMs: 500 });
    leader.stop();
    await world.pass(100);
    world.server.put({ ...world.server.spec, holderIdentity: 'usurper' });
    await world.pass(10_000);
    await leader.ended;
    assert.equal(world.server.spec.holderIdentity, 'usurper');
  });

  const given: Readonly<Record<string, readonly Fate[]>> = {
    'and gives up after five seconds when the API server does not answer': [lost],
    'and gives up after five seconds when a read takes most of that': [{ ...prompt, backMs: 4_500 }, lost],
  };
  for (const [title, fates] of Object.entries(given)) {
    test(title, async () => {
      const { world, leader } = await ledBy('me');
      let endedAtMs = 0;
      void leader.ended.then(() => (endedAtMs = world.timeline.nowMs));
      const stoppedAtMs = world.timeline.nowMs;
      world.decide(...fates);
      leader.stop();
      await world.pass(60_000);
      assert.equal(endedAtMs - stoppedAtMs, 5_000);
    });
  }

  test('and gives up after half the renew deadline if that is shorter', async () => {
    const world = new ElectionWorld();
    const leader = world.start({ identity: 'me', timing: { renewDeadlineMs: 4_000, retryPeriodMs: 1_000 } });
    await world.leads(leader);
    const stoppedAtMs = world.timeline.nowMs;
    world.decide(lost);
    leader.stop();
    let endedAtMs = 0;
    void leader.ended.then(() => (endedAtMs = world.timeline.nowMs));
    await world.pass(60_000);
    assert.equal(endedAtMs - stoppedAtMs, 2_000);
  });
});
