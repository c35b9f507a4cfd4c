import { setTimeout as sleep } from 'node:timers/promises';
import { keyOf } from '../../../src/kube/index.ts';
import type { Contestant, Pair } from '../contestant.ts';
import { createAll, following, metered, type Outcome, pairs, untilAllIssued } from '../measure.ts';
import type { Plane } from '../plane.ts';
import { machineUsage } from '../process-usage.ts';
import type { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** How long the programs may warm up, in seconds. */
const warmUpSeconds = 10;

/**
 * How many pairs a second a contestant follows when they are created as fast as can be: creating takes its part of what
 * the API server can do, so this is less than in a burst.
 */
export const flood: Scenario = {
  name: 'flood',
  about: 'resources are created as fast as the API server takes them',
  async run(plane, contestant, { count, settles }) {
    return following(plane, contestant, async (running, progress) => {
      const objects = objectsFor(contestant, pairs(plane, count));
      const certificates = objects * contestant.certificatesPerObject;
      return metered(plane, contestant, running, { certificates, settles }, async () => {
        const measured = untilAllIssued(plane, contestant, running, progress, objects);
        await createAll(plane, contestant, pairs(plane, count));
        return measured;
      });
    });
  },
};

/** Resources come at a part of the rate that the API server could take. */
const streamAt = (name: string, part: string, divisor: number): Scenario => ({
  name,
  about: `resources are created at ${part} of the rate that the ceiling follows`,
  async run(plane, contestant, { count, settles, ceilingPairsPerSecond }) {
    const rate = ceilingPairsPerSecond / divisor;
    return following(plane, contestant, async (running, progress) => {
      const warmUp = pairs(plane, Math.ceil(rate * warmUpSeconds), { prefix: 'warm' });
      await createAtRate(plane, contestant, progress, warmUp, rate);
      const wanted = pairs(plane, count);
      const certificates = objectsFor(contestant, wanted) * contestant.certificatesPerObject;
      return metered(plane, contestant, running, { certificates, settles }, async (): Promise<Outcome> => {
        const before = machineUsage();
        const latenciesMs = await createAtRate(plane, contestant, progress, wanted, rate);
        const after = machineUsage();
        const busy = (100 * (after.busyMs - before.busyMs)) / (after.allMs - before.allMs);
        return { latenciesMs, figures: { 'pairs created per second': rate, 'of all cores in use, %': busy } };
      });
    });
  },
});

/** At half of that rate creating alone may keep a small machine busy; at a quarter, latency is the contestant's. */
export const streams: readonly Scenario[] = [streamAt('stream', 'half', 2), streamAt('stream/quarter', 'a quarter', 4)];

const objectsFor = (contestant: Contestant, wanted: readonly Pair[]): number =>
  wanted.flatMap((pair) => contestant.requestsFor(pair)).length;

/**
 * Creates pairs at a rate, whatever becomes of those before, and returns how long each object took to be Ready. Time runs
 * from when it was to be created: one that is late because the API server is busy has waited, too.
 */
export async function createAtRate(
  { client }: Plane,
  contestant: Contestant,
  progress: Progress,
  wanted: readonly Pair[],
  rate: number,
): Promise<number[]> {
  const before = progress.issuedAt.size;
  const dueAt = new Map<string, number>();
  const creating: Promise<unknown>[] = [];
  const started = performance.now();
  for (const [i, pair] of wanted.entries()) {
    const due = started + (i * 1000) / rate;
    const early = due - performance.now();
    if (early > 1) await sleep(early);
    for (const object of contestant.requestsFor(pair)) {
      dueAt.set(keyOf(object.metadata), due);
      creating.push(client.create(contestant.resource, object));
    }
  }
  await Promise.all(creating);
  await progress.reached(before + dueAt.size);
  return [...dueAt].map(([key, due]) => (progress.issuedAt.get(key) ?? Number.NaN) - due);
}
