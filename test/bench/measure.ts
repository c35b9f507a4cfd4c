import { setTimeout as sleep } from 'node:timers/promises';
import { inParallel } from '../support/parallel.ts';
import type { Contestant, Job, Pair, Running } from './contestant.ts';
import { between, type Plane, type RequestCounts } from './plane.ts';
import { type ProcessUsage, usageOf } from './process-usage.ts';
import { Progress } from './progress.ts';

/** What came of one measurement; each figure is there only where it makes sense. */
export interface Outcome {
  readonly certificatesPerSecond?: number;
  /** By "VERB resource". */
  readonly requestsPerCertificate?: Readonly<Record<string, number>>;
  /** KiB of the objects and patches that were sent, by "verb resource". */
  readonly sentKiBPerCertificate?: Readonly<Record<string, number>>;
  /** Of the contestant, all threads. */
  readonly cpuMsPerCertificate?: number;
  readonly apiServerCpuMsPerCertificate?: number;
  readonly peakMiB?: number;
  /** After the work, when it grows no smaller any more. */
  readonly settledMiB?: number;
  /** Milliseconds from the moment at which a resource was to be created to the one at which it was seen to be Ready. */
  readonly latenciesMs?: readonly number[];
  /** Figures of the scenario's own, by what they are. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** The names of so many pairs, over all namespaces; all of one length, so that all requests are. */
export const pairs = (
  { namespaces }: Plane,
  count: number,
  { prefix = 'pair', ...rest }: { readonly prefix?: string } & Omit<Pair, 'namespace' | 'name'> = {},
): Pair[] =>
  Array.from({ length: count }, (_, i) => ({
    ...rest,
    namespace: namespaces[i % namespaces.length] ?? '',
    name: `${prefix}-${String(i).padStart(6, '0')}`,
  }));

/** Creates what asks for the pairs; returns how many objects that were. */
export async function createAll({ client }: Plane, contestant: Contestant, wanted: readonly Pair[]): Promise<number> {
  const objects = wanted.flatMap((pair) => contestant.requestsFor(pair));
  await inParallel(objects, (object) => client.create(contestant.resource, object), 32);
  return objects.length;
}

/**
 * Measures until so many objects are done, from the moment at which the contestant runs and the first are: how long a
 * program takes to start is another question.
 */
export async function untilAllIssued(
  plane: Plane,
  contestant: Contestant,
  running: Running,
  progress: Progress,
  objects: number,
): Promise<Outcome> {
  await progress.reached(1);
  const before = reading(plane, running, progress);
  await progress.reached(objects);
  const after = reading(plane, running, progress);
  const certificates = (after.issued - before.issued) * contestant.certificatesPerObject;
  return {
    certificatesPerSecond: certificates / ((after.atMs - before.atMs) / 1000),
    cpuMsPerCertificate: cpuMs(before.own, after.own) / certificates,
    apiServerCpuMsPerCertificate: cpuMs(before.apiServer, after.apiServer) / certificates,
  };
}

interface Reading {
  readonly atMs: number;
  readonly issued: number;
  readonly own: ProcessUsage;
  readonly apiServer: ProcessUsage;
}

const reading = (plane: Plane, { pid }: Running, { issuedAt }: Progress): Reading => ({
  atMs: performance.now(),
  issued: issuedAt.size,
  own: usageOf(pid),
  apiServer: plane.apiServerUsage(),
});

/** What everyone has asked the API server for so far. */
export interface Counters {
  readonly requests: RequestCounts;
  readonly sentBytes: RequestCounts;
}

export const countersOf = async (plane: Plane): Promise<Counters> => ({
  requests: await plane.requests(),
  sentBytes: await plane.sentBytes(),
});

interface Metering {
  /** How many certificates come of it; as many as Secrets are written, where that is not known beforehand. */
  readonly certificates?: number;
  readonly settles: boolean;
  /** Where the counting of requests begins, when not here. */
  readonly since?: Counters;
}

/** Runs `work` and adds what the contestant and the API server have used meanwhile, save for what `work` tells itself. */
export async function metered(
  plane: Plane,
  contestant: Contestant,
  running: Running,
  { certificates, settles, since }: Metering,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const before = since ?? (await countersOf(plane));
  const [own, apiServer] = [usageOf(running.pid), plane.apiServerUsage()];
  const outcome = await work();
  const [ownAfter, apiServerAfter] = [usageOf(running.pid), plane.apiServerUsage()];
  const after = await countersOf(plane);
  const counts = between(before.requests, after.requests);
  const written = (counts.get('POST secrets') ?? 0) + (counts.get('PATCH secrets') ?? 0);
  const made = certificates ?? written;
  const bodies = [...between(before.sentBytes, after.sentBytes)]
    // What asks for certificates comes from the bench.
    .filter(([key]) => key !== `create ${contestant.resource.plural}`);
  return {
    cpuMsPerCertificate: cpuMs(own, ownAfter) / made,
    apiServerCpuMsPerCertificate: cpuMs(apiServer, apiServerAfter) / made,
    requestsPerCertificate: perCertificate(counts, made),
    sentKiBPerCertificate: perCertificate(new Map(bodies), made * 1024),
    peakMiB: mib(ownAfter.peakBytes),
    ...(settles ? { settledMiB: await settledMiB(running.pid) } : {}),
    ...outcome,
  };
}

/** Starts a contestant on `objects` that are there, measures until all of them are done, and ends it. */
export async function workedOff(
  plane: Plane,
  contestant: Contestant,
  job: Job,
  progress: Progress,
  { objects, settles }: { readonly objects: number; readonly settles: boolean },
): Promise<Outcome> {
  const since = await countersOf(plane);
  const running = await contestant.start(plane, job);
  try {
    const certificates = objects * contestant.certificatesPerObject;
    return await metered(plane, contestant, running, { certificates, settles, since }, () =>
      untilAllIssued(plane, contestant, running, progress, objects),
    );
  } finally {
    await running.stop();
    await progress.stop();
  }
}

/** Runs `work` with a contestant that issues whatever is created, and with the progress of that; ends both. */
export async function following(
  plane: Plane,
  contestant: Contestant,
  work: (running: Running, progress: Progress) => Promise<Outcome>,
): Promise<Outcome> {
  const running = await contestant.start(plane, 'follow');
  const progress = await Progress.begin(plane.client, contestant);
  try {
    return await work(running, progress);
  } finally {
    await running.stop();
    await progress.stop();
  }
}

export const perCertificate = (counts: RequestCounts, certificates: number): Record<string, number> =>
  Object.fromEntries([...counts].map(([key, count]) => [key, count / certificates]));

/** Waits until a process has not become smaller for a while. Garbage collectors take their time when there is no more work. */
export async function settledMiB(pid: number): Promise<number> {
  const deadline = performance.now() + 90_000;
  let least = Number.POSITIVE_INFINITY;
  for (let unchanged = 0; unchanged < 20 && performance.now() < deadline; unchanged += 1) {
    const now = mib(usageOf(pid).residentBytes);
    if (now < least - 1) unchanged = 0;
    least = Math.min(least, now);
    await sleep(1000);
  }
  return mib(usageOf(pid).residentBytes);
}

export const cpuMs = (before: ProcessUsage, after: ProcessUsage): number =>
  (after.cpuSeconds - before.cpuSeconds) * 1000;
export const mib = (bytes: number): number => bytes / 1024 / 1024;
