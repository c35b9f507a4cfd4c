import { setTimeout as sleep } from 'node:timers/promises';
import { authorities } from '../../../src/controllers/objects/resources.ts';
import { pollUntil } from '../../../tools/controlplane/poll.ts';
import { eventually } from '../../support/eventually.ts';
import { cpuMs, createAll, mib, pairs, perCertificate, settledMiB } from '../measure.ts';
import { between } from '../plane.ts';
import { usageOf } from '../process-usage.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';
import { scrape, writes } from '../scrape.ts';

/** How long to look at a process that has nothing to do, in seconds. */
const idleSeconds = 60;

/** A new process finds everything in place. */
export const restart: Scenario = {
  name: 'restart',
  about: 'the operator starts with everything in place, and then has nothing to do',
  takesPart: { ceiling: false, peer: false },
  async run(plane, contestant, { count, settles }) {
    const first = await contestant.start(plane, 'follow');
    const progress = await Progress.begin(plane.client, contestant);
    const growth = costOfGrowth(progress, first.pid, count);
    const objects = await createAll(plane, contestant, pairs(plane, count));
    await progress.reached(objects);
    const costs = await growth;
    // The last of what it writes by itself is their number, which is for people and comes later.
    await eventually(async () => {
      const { status } = await plane.client.get(authorities, { name: 'default' });
      if (status?.certificates !== objects) throw new Error('they are not counted yet');
    });
    await first.stop();
    await progress.stop();
    const before = await plane.requests();
    const started = performance.now();
    const running = await contestant.start(plane, 'follow');
    try {
      const readyMs = performance.now() - started;
      await looked(running.url ?? '', objects);
      const { cpuSeconds, peakBytes } = usageOf(running.pid);
      const figures = {
        'seconds until ready': readyMs / 1000,
        'seconds until all was looked at': (performance.now() - started) / 1000,
        'seconds of CPU': cpuSeconds,
      };
      const settled = settles ? { settledMiB: await settledMiB(running.pid) } : {};
      // After that: collecting what is left of the start is work, too.
      const idle = settles ? { 'CPU of a core when idle, %': await idlePercent(running.pid) } : {};
      const counts = between(before, await plane.requests());
      // By what it says itself: the controller manager writes a ClusterTrustBundle of its own, whenever it gets to that.
      const own = writes(undefined, await scrape(running.url ?? '')).filter(([key]) => !key.endsWith(' leases'));
      return {
        requestsPerCertificate: perCertificate(counts, objects * contestant.certificatesPerObject),
        peakMiB: mib(peakBytes),
        ...settled,
        figures: {
          ...costs,
          ...figures,
          ...idle,
          'writes, all but the Lease': own.reduce((total, [, number]) => total + number, 0),
          'API server, MiB': mib(plane.apiServerUsage().residentBytes),
          'etcd, MiB of data': mib(await plane.storedBytes()),
        },
      };
    } finally {
      await running.stop();
    }
  },
};

/** Waits until it leads and has looked at everything; once a second, since a scrape of so much is work itself. */
async function looked(url: string, objects: number): Promise<void> {
  const isDone = async (): Promise<boolean> => {
    const { leads, queued, reconciles } = await scrape(url);
    // A term that has just begun has empty queues, too.
    return leads && queued === 0 && reconciles >= objects;
  };
  if (!(await pollUntil(isDone, 300_000, 1000))) throw new Error('not all resources were looked at');
}

async function idlePercent(pid: number): Promise<number> {
  const before = usageOf(pid);
  await sleep(idleSeconds * 1000);
  return cpuMs(before, usageOf(pid)) / (idleSeconds * 10);
}

/**
 * What a certificate costs among few others and among many: of a thousand resources each, the first when the program is
 * warm, and the last.
 */
async function costOfGrowth(progress: Progress, pid: number, count: number): Promise<Record<string, number>> {
  if (count < 3000) return {};
  const cpuSecondsAt = async (objects: number) => {
    await progress.reached(objects);
    return usageOf(pid).cpuSeconds;
  };
  const [a, b] = [await cpuSecondsAt(1000), await cpuSecondsAt(2000)];
  const [c, d] = [await cpuSecondsAt(count - 1000), await cpuSecondsAt(count)];
  return { 'CPU, ms each, of the second thousand': (b - a) / 2, 'CPU, ms each, of the last thousand': (d - c) / 2 };
}
