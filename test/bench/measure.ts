import { setTimeout as sleep } from 'node:timers/promises';
import { inParallel } from '../support/parallel.ts';
import type { Contestant, Job, Pair, Running } from './contestant.ts';
import { between, type Plane, type RequestCounts } from './plane.ts';
import { type ProcessUsage, usageOf } from './process-usage.ts';
import { Progress } from './progress.ts';

/** The result of one measurement. A figure that does not apply is absent. */
export interface Outcome {
  readonly certificatesPerSecond?: number;
  /** By "VERB resource". */
  readonly requestsPerCertificate?: Readonly<Record<string, number>>;
  /** KiB of objects and patches sent, by "verb resource". */
  readonly sentKiBPerCertificate?: Readonly<Record<string, number>>;
  /** CPU of the contestant, all threads. */
  readonly cpuMsPerCertificate?: number;
  readonly apiServerCpuMsPerCertificate?: number;
  readonly peakMiB?: number;
  /** Resident memory after the work, when it no longer shrinks. */
  readonly settledMiB?: number;
  /** Milliseconds from the scheduled creation of a resource until the watch sees it Ready. */
  readonly latenciesMs?: readonly number[];
  /** Additional figures of the scenario, by name. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** `count` pairs, spread over all namespaces. All names have the same length, so that all requests do. */
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

/** Creates the objects that request the pairs. Returns their number. */
export async function createAll(
  { client }: Plane,
  contestant: Contestant,
  requested: readonly Pair[],
): Promise<number> {
  const objects = requested.flatMap((pair) => contestant.requestsFor(pair));
  await inParallel(objects, (object) => client.create(contestant.resource, object), 32);
  return objects.length;
}

/**
 * Measures from the first issued object until `objects` are issued, not counting those that were issued before. The start of the
 * program is not part of the measurement.
 */
export async function untilAllIssued(
  plane: Plane,
  contestant: Contestant,
  running: Running,
  progress: Progress,
  objects: number,
  issuedBefore = 0,
): Promise<Outcome> {
  await progress.reached(issuedBefore + 1);
  const before = reading(plane, running, progress);
  await progress.reached(issuedBefore + objects);
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

/** All requests to the API server so far. */
export interface Counters {
  readonly requests: RequestCounts;
  readonly sentBytes: RequestCounts;
}

export const countersOf = async (plane: Plane): Promise<Counters> => ({
  requests: await plane.requests(),
  sentBytes: await plane.sentBytes(),
});

interface Metering {
  /** The number of certificates. If it is not known in advance, the number of Secret writes is used. */
  readonly certificates?: number;
  readonly settles: boolean;
  /** The start of the request count; by default the start of `work`. */
  readonly since?: Counters;
}

/** Runs `work` and adds the usage of the contestant and the API server to its outcome. Figures of `work` itself take precedence. */
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
  // The bench itself creates the objects that request certificates.
  const { plural } = contestant.resource;
  const requests = [...counts].filter(([key]) => key !== `POST ${plural}`);
  const bodies = [...between(before.sentBytes, after.sentBytes)].filter(([key]) => key !== `create ${plural}`);
  return {
    cpuMsPerCertificate: cpuMs(own, ownAfter) / made,
    apiServerCpuMsPerCertificate: cpuMs(apiServer, apiServerAfter) / made,
    requestsPerCertificate: perCertificate(new Map(requests), made),
    sentKiBPerCertificate: perCertificate(new Map(bodies), made * 1024),
    peakMiB: mib(ownAfter.peakBytes),
    ...(settles ? { settledMiB: await settledMiB(running.pid) } : {}),
    ...outcome,
  };
}

/** Starts a contestant with `objects` existing objects, measures until all are issued, and stops it. */
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

/** Runs `work` with a contestant that issues for new objects, and with its progress. Stops both. */
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

/** Waits until a process has stopped shrinking. An idle process collects garbage slowly. */
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
