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

/** How long to measure an idle process, in seconds. */
const idleSeconds = 60;

/** A new process starts when all certificates are issued. */
export const restart: Scenario = {
  name: 'restart',
  about: 'the operator starts when all certificates are issued, and is then idle',
  takesPart: { ceiling: false, peer: false },
  async run(plane, contestant, { count, settles }) {
    const first = await contestant.start(plane, 'follow');
    const progress = await Progress.begin(plane.client, contestant);
    const growth = costOfGrowth(progress, first.pid, count);
    const objects = await createAll(plane, contestant, pairs(plane, count));
    await progress.reached(objects);
    const costs = await growth;
    // The number of certificates in the status of the authority is the last write of the operator.
    await eventually(async () => {
      const { status } = await plane.client.get(authorities, { name: 'default' });
      if (status?.certificates !== objects) throw new Error('status does not have the number of certificates yet');
    });
    await first.stop();
    await progress.stop();
    const before = await plane.requests();
    const started = performance.now();
    const running = await contestant.start(plane, 'follow');
    try {
      const readyMs = performance.now() - started;
      await allReconciled(running.url ?? '', objects);
      const { cpuSeconds, peakBytes } = usageOf(running.pid);
      const figures = {
        'seconds until ready': readyMs / 1000,
        'seconds until all are reconciled': (performance.now() - started) / 1000,
        'seconds of CPU': cpuSeconds,
      };
      const settled = settles ? { settledMiB: await settledMiB(running.pid) } : {};
      // After memory has settled, because the garbage collection after the start also uses CPU.
      const idle = settles ? { 'CPU of a core when idle, %': await idlePercent(running.pid) } : {};
      const counts = between(before, await plane.requests());
      // From the operator's own metrics, because the controller manager also writes a ClusterTrustBundle at some time.
      const own = writes(undefined, await scrape(running.url ?? '')).filter(([key]) => !key.endsWith(' leases'));
      return {
        requestsPerCertificate: perCertificate(counts, objects * contestant.certificatesPerObject),
        peakMiB: mib(peakBytes),
        ...settled,
        figures: {
          ...costs,
          ...figures,
          ...idle,
          'writes without the Lease': own.reduce((total, [, number]) => total + number, 0),
          'API server, MiB': mib(plane.apiServerUsage().residentBytes),
          'etcd, MiB of data': mib(await plane.storedBytes()),
        },
      };
    } finally {
      await running.stop();
    }
  },
};

/** Waits until the operator leads and has reconciled every object. Polls once a second, because a scrape costs CPU. */
async function allReconciled(url: string, objects: number): Promise<void> {
  const isDone = async (): Promise<boolean> => {
    const { leads, queued, reconciles } = await scrape(url);
    // At the beginning of a term the queues are empty, too.
    return leads && queued === 0 && reconciles >= objects;
  };
  if (!(await pollUntil(isDone, 300_000, 1000))) throw new Error('not all resources were reconciled within 5 minutes');
}

async function idlePercent(pid: number): Promise<number> {
  const before = usageOf(pid);
  await sleep(idleSeconds * 1000);
  return cpuMs(before, usageOf(pid)) / (idleSeconds * 10);
}

/**
 * The cost of a certificate with few and with many others: for the second thousand resources, when the program is warm, and
 * for the last thousand.
 */
async function costOfGrowth(progress: Progress, pid: number, count: number): Promise<Record<string, number>> {
  if (count < 3000) return {};
  const cpuSecondsAt = async (objects: number) => {
    await progress.reached(objects);
    return usageOf(pid).cpuSeconds;
  };
  const [a, b] = [await cpuSecondsAt(1000), await cpuSecondsAt(2000)];
  const [c, d] = [await cpuSecondsAt(count - 1000), await cpuSecondsAt(count)];
  return { 'CPU of the second thousand, ms each': (b - a) / 2, 'CPU of the last thousand, ms each': (d - c) / 2 };
}
