import { setTimeout as sleep } from 'node:timers/promises';
import { keyOf } from '../../../src/kube/index.ts';
import type { Contestant, Pair } from '../contestant.ts';
import { createAll, following, metered, type Outcome, pairs, untilAllIssued } from '../measure.ts';
import type { Plane } from '../plane.ts';
import { machineUsage } from '../process-usage.ts';
import type { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** The warm-up of the programs, in seconds. */
const warmUpSeconds = 10;

/**
 * The pairs per second that a contestant issues while resources are created as fast as possible. Creating them uses part of
 * the API server's capacity, so this is less than in a burst.
 */
export const flood: Scenario = {
  name: 'flood',
  about: 'resources are created as fast as the API server accepts them',
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

/** Resources are created at a fraction of the ceiling's rate. */
const streamAt = (name: string, part: string, divisor: number): Scenario => ({
  name,
  about: `resources are created at ${part} of the ceiling's rate`,
  async run(plane, contestant, { count, settles, ceilingPairsPerSecond }) {
    const rate = ceilingPairsPerSecond / divisor;
    return following(plane, contestant, async (running, progress) => {
      const warmUp = pairs(plane, Math.ceil(rate * warmUpSeconds), { prefix: 'warm' });
      await createAtRate(plane, contestant, progress, warmUp, rate);
      const requested = pairs(plane, count);
      const certificates = objectsFor(contestant, requested) * contestant.certificatesPerObject;
      return metered(plane, contestant, running, { certificates, settles }, async (): Promise<Outcome> => {
        const before = machineUsage();
        const latenciesMs = await createAtRate(plane, contestant, progress, requested, rate);
        const after = machineUsage();
        const busy = (100 * (after.busyMs - before.busyMs)) / (after.allMs - before.allMs);
        return { latenciesMs, figures: { 'pairs created per second': rate, 'use of all cores, %': busy } };
      });
    });
  },
});

/** At half of that rate, creating alone may use all of a small machine. At a quarter, the latency is that of the contestant. */
export const streams: readonly Scenario[] = [streamAt('stream', 'half', 2), streamAt('stream/quarter', 'a quarter', 4)];

const objectsFor = (contestant: Contestant, requested: readonly Pair[]): number =>
  requested.flatMap((pair) => contestant.requestsFor(pair)).length;

/**
 * Creates pairs at a fixed rate without waiting for earlier ones. Returns how long each object took to become Ready, measured
 * from its scheduled creation, so that the time in which a busy API server delays the creation counts.
 */
export async function createAtRate(
  { client }: Plane,
  contestant: Contestant,
  progress: Progress,
  requested: readonly Pair[],
  rate: number,
): Promise<number[]> {
  const before = progress.issuedAt.size;
  const dueAt = new Map<string, number>();
  const creating: Promise<unknown>[] = [];
  const started = performance.now();
  for (const [i, pair] of requested.entries()) {
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
