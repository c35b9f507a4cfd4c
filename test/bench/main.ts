// npm run bench: what issuing costs on a control plane of its own. Ratios and counts are what to quote; seconds are this
// machine's, with etcd, API server and operator on the same cores. `npm run bench -- issuing`, `memory` and
// `events` do without all of them.

import { parseArgs } from 'node:util';
import type { MtlsCertificate } from '../../src/api/types.ts';
import { certificates as certificateResource } from '../../src/controllers/resources.ts';
import { KubeClient, loadConnection, namespaces } from '../../src/kube/index.ts';
import { startTestCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Operator, startOperator } from '../support/operator.ts';
import { benchEvents } from './events.ts';
import { benchIssuing } from './issuing.ts';
import { benchMemory } from './memory.ts';
import { rotateRoot } from './rotation.ts';
import { scrape, writes } from './scrape.ts';

const { values, positionals } = parseArgs({
  options: { count: { type: 'string', default: '500' }, samples: { type: 'string', default: '20' } },
  allowPositionals: true,
});
const alone = { issuing: benchIssuing, memory: benchMemory, events: benchEvents };
for (const [name, bench] of Object.entries(alone)) {
  if (positionals[0] !== name) continue;
  await bench();
  process.exit();
}
const [count, samples] = [Number(values.count), Number(values.samples)];
const settleMs = 600_000;

const cluster = await startTestCluster();
const client = new KubeClient(loadConnection({ kubeconfig: cluster.kubeconfig }), { userAgent: 'bench' });
try {
  let operator = await startOperator(cluster);
  const idle = await scrape(operator.url);
  console.log(`resident memory, idle:       ${mib(idle.residentBytes)}`);
  console.log(`apply to Ready, median of ${samples}: ${median(await latencies()).toFixed(0)} ms`);
  await burst(operator);
  await rotateRoot(client, operator, count + samples);
  operator = await restart(operator);
  await operator.stop();
} finally {
  await client.close();
  await cluster.stop();
}

/** Milliseconds from the start of `kubectl apply` to Ready, as a watching client sees it. */
async function latencies(): Promise<number[]> {
  const namespace = await cluster.namespace('latency');
  const durations: number[] = [];
  for (let i = 0; i < samples; i += 1) {
    const { resourceVersion } = await client.list(certificateResource, { namespace, limit: 1 });
    const ready = firstReady(namespace, resourceVersion);
    const started = performance.now();
    await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(pair(namespace, `one-${i}`)) });
    durations.push((await ready) - started);
  }
  return durations;
}

async function firstReady(namespace: string, resourceVersion: string): Promise<number> {
  for await (const event of client.watch(certificateResource, {
    namespace,
    resourceVersion,
    idleTimeoutMs: settleMs,
  })) {
    if (event.type === 'MODIFIED' && isReady(event.object)) return performance.now();
  }
  throw new Error('the watch ended');
}

/** Creates all resources at once and waits until all are Ready. */
async function burst(operator: Operator): Promise<void> {
  const namespace = 'burst';
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const before = await scrape(operator.url);
  const started = performance.now();
  await inParallel(32, count, (i) => client.create(certificateResource, pair(namespace, `pair-${i}`)));
  const created = performance.now();
  await allReady(namespace);
  const seconds = (performance.now() - started) / 1000;
  const after = await scrape(operator.url);
  const issued = after.issued - before.issued;
  console.log(`\nburst of ${count} client+server pairs`);
  console.log(
    `  created in                 ${((created - started) / 1000).toFixed(2)} s, all Ready after ${seconds.toFixed(2)} s`,
  );
  console.log(`  certificates per second    ${(issued / seconds).toFixed(0)}`);
  console.log(
    `  operator CPU               ${(((after.cpuSeconds - before.cpuSeconds) * 1000) / issued).toFixed(2)} ms per certificate`,
  );
  console.log(`  resident memory            ${mib(after.residentBytes)}`);
  for (const [what, times] of writes(before, after)) {
    console.log(`  ${what.padEnd(26)} ${(times / count).toFixed(2)} per resource`);
  }
}

/** A restart with everything in place: nothing may be written but the Lease. */
async function restart(operator: Operator): Promise<Operator> {
  await operator.stop();
  const started = performance.now();
  const next = await startOperator(cluster);
  const seconds = (performance.now() - started) / 1000;
  await eventually(
    async () => {
      const { leads, queued } = await scrape(next.url);
      if (!leads || queued > 0) throw new Error('work is under way');
    },
    { timeoutMs: settleMs },
  );
  const after = await scrape(next.url);
  const total = [...writes(undefined, after)].filter(([what]) => !what.includes('leases'));
  console.log(`\nrestart with ${count} healthy resources`);
  console.log(`  ready after                ${seconds.toFixed(2)} s`);
  console.log(`  writes                     ${total.reduce((sum, [, times]) => sum + times, 0)}`);
  console.log(`  resident memory            ${mib(after.residentBytes)}`);
  return next;
}

async function allReady(namespace: string): Promise<void> {
  await eventually(
    async () => {
      let ready = 0;
      for await (const page of client.listPages(certificateResource, { namespace, limit: 500 })) {
        ready += page.items.filter(isReady).length;
      }
      if (ready < count) throw new Error(`${ready} of ${count} are Ready`);
    },
    { timeoutMs: settleMs },
  );
}

function pair(namespace: string, name: string) {
  const spec = { server: { service: name }, client: { serviceAccount: name } };
  const object = {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata: { namespace, name },
    spec,
  };
  // The type is that of a served object, with the defaults of the schema filled in.
  return object as unknown as MtlsCertificate;
}

function isReady({ status }: MtlsCertificate): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

async function inParallel(width: number, total: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < total; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}
