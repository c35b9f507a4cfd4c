import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import * as fc from '../../../support/properties.ts';
import { randomFrom } from '../../../support/random.ts';
import { historyRuns } from '../../../support/runs.ts';
import { type Candidate, type CandidateOptions, ElectionWorld, type Fate } from './election-world.ts';

// For more elections: ELECTION_RUNS=20000 npm test -- unit leader-safety. Shrinking a failure takes minutes.
const runs = { endOnFailure: true, ...historyRuns('ELECTION_RUNS', 50) };

const minute = 60_000;
const lengthMs = 5 * minute;

/** A fault between one candidate and the API server, for some time. */
interface Trouble {
  readonly whose: number;
  readonly fromMs: number;
  readonly lastsMs: number;
  readonly outcome: Fate['outcome'];
  /** How much longer requests and answers take at most, in milliseconds. */
  readonly slowerMs: number;
}

/** The end of one candidate's process, which is started again after a while. */
interface Blow {
  readonly whose: number;
  readonly atMs: number;
  readonly how: 'stop' | 'kill';
  readonly backAfterMs: number;
  /** Whether it is started with the same identity, like a container of the same pod. */
  readonly isSamePod: boolean;
}

// The renew deadline of 10 s on the slowest clock ends before the lease duration of 15 s on the fastest clock.
const rates = fc.constantFrom(0.83, 0.9, 1, 1, 1.1, 1.2);
const member = fc.record({ rate: rates, drainMs: fc.constantFrom(0, 0, 3_000, 18_000) });
const whose = fc.nat({ max: 2 });
const moments = fc.nat({ max: lengthMs });
const troubles: fc.Arbitrary<Trouble> = fc.record({
  whose,
  fromMs: moments,
  lastsMs: fc.constantFrom(1_000, 5_000, 12_000, 30_000, minute),
  outcome: fc.constantFrom<Fate['outcome']>(
    'answered',
    'refused',
    'cut before',
    'cut after',
    'lost before',
    'lost after',
  ),
  slowerMs: fc.constantFrom(0, 500, 4_000, 9_000, 14_000),
});
const blows: fc.Arbitrary<Blow> = fc.record({
  whose,
  atMs: moments,
  how: fc.constantFrom('stop', 'kill'),
  backAfterMs: fc.constantFrom(0, 1_000, 20_000),
  isSamePod: fc.boolean(),
});

type Member = Omit<CandidateOptions, 'identity'>;

/** One of three pods that run the operator. */
interface Pod {
  readonly options: Member;
  /** How many times the pod was replaced. */
  replaced: number;
  process: Candidate;
}

/** Ends the process and starts another one. */
function strike(world: ElectionWorld, pod: Pod, { whose, how, backAfterMs, isSamePod }: Blow): void {
  const { process, options } = pod;
  if (process.isDead || process.isStopped) return;
  const again = (): void => {
    if (!isSamePod) pod.replaced += 1;
    pod.process = world.start({ ...options, identity: `pod-${whose}-${pod.replaced}` });
  };
  if (how === 'kill') {
    process.kill();
    world.timeline.after(backAfterMs, again);
  } else {
    process.stop();
    void process.ended.then(() => world.timeline.after(backAfterMs, again));
  }
}

/** Runs an election: five minutes with faults, and two minutes without. */
async function elect(
  members: readonly Member[],
  troubles: readonly Trouble[],
  blows: readonly Blow[],
  seed: number,
): Promise<ElectionWorld> {
  const next = randomFrom(seed);
  mock.method(Math, 'random', next);
  const world = new ElectionWorld();
  const { timeline } = world;
  const pods = members.map((options, i): Pod => {
    const process = world.start({ ...options, identity: `pod-${i}-0` });
    return { options, replaced: 0, process };
  });
  world.fateOf = (candidate) => {
    const whose = pods.findIndex(({ process }) => process === candidate);
    const trouble = troubles.findLast(
      (one) => one.whose === whose && timeline.nowMs >= one.fromMs && timeline.nowMs < one.fromMs + one.lastsMs,
    );
    const { outcome, slowerMs } = trouble ?? { outcome: 'answered', slowerMs: 0 };
    const takesMs = (): number => 1 + next() * (20 + slowerMs);
    return { outcome, thereMs: takesMs(), backMs: takesMs() };
  };
  for (const blow of blows) {
    const pod = pods[blow.whose] ?? assert.fail();
    timeline.after(blow.atMs, () => strike(world, pod, blow));
  }
  await world.pass(lengthMs + 2 * minute);
  return world;
}

test('at most one candidate leads during any faults of requests and processes, and exactly one after them', async (t) => {
  const seen = { terms: 0, lost: 0, released: 0, killed: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(member, member, member),
      fc.array(troubles, { maxLength: 12, size: 'max' }),
      fc.array(blows, { maxLength: 5 }),
      fc.nat(),
      async (...history) => {
        const { candidates, end } = await elect(...history);
        assert.equal(candidates.filter(({ isActing }) => isActing).length, 1, 'no candidate leads after the faults');
        await end();
        mock.restoreAll();
        for (const { begun, lostAfterMs, hasReleased, wasKilledAsLeader } of candidates) {
          seen.terms += begun.length;
          seen.lost += lostAfterMs.length;
          seen.released += hasReleased ? 1 : 0;
          seen.killed += wasKilledAsLeader ? 1 : 0;
        }
      },
    ),
    runs,
  );
  t.diagnostic(`${runs.numRuns} elections: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) assert.ok(count > runs.numRuns / 10, `only ${count} ${what}`);
});
