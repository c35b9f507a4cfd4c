// npm run bench -- memory: the heap that the caches need per resource, without an API server.

import { Caches } from '../../src/controllers/cache/caches.ts';
import { secretRecord } from '../../src/controllers/objects/leaf-secret.ts';
import { certificateRecord } from '../../src/controllers/objects/resources.ts';
import { keyOf, type Secret, WorkQueue } from '../../src/kube/index.ts';
import { heapBytes } from '../support/heap.ts';
import { heapPerPod } from '../support/pods/heap.ts';
import { contentOf, member, roots } from './population.ts';

/** Prints the tables. "renewals" are the entries of the queue that waits for the renewal times. */
export async function benchMemory(): Promise<void> {
  console.log('Heap per resource (an MtlsCertificate with two Secrets), in bytes');
  const table: Record<number, Record<string, number>> = {};
  for (const count of [1000, 10_000, 50_000]) table[count] = await bytesPerResource(count);
  console.table(table);
  console.log('Heap per pod with --pod-evidence, 20,000 pods, in bytes');
  console.table(await bytesPerPod(20_000));
}

/** By the number of workloads: a pod that reads a Secret by subPath, and one that mounts it as a folder. */
async function bytesPerPod(count: number): Promise<Record<string, Record<string, number>>> {
  const table: Record<string, Record<string, number>> = {};
  for (const workloads of [1000, count]) {
    table[`${workloads} workloads`] = {
      subPath: Math.round(await heapPerPod(count, workloads, 'subPath')),
      folder: Math.round(await heapPerPod(count, workloads, 'folder')),
    };
  }
  return table;
}

async function bytesPerResource(count: number): Promise<Record<string, number>> {
  const caches = new Caches(() => roots);
  const queue = new WorkQueue();
  const bytesOf = async (fill: () => void): Promise<number> => {
    const before = await heapBytes();
    fill();
    return Math.round(((await heapBytes()) - before) / count);
  };
  const certificates = await bytesOf(() => {
    for (let i = 0; i < count; i += 1) {
      const object = JSON.parse(member(i).certificate) as Parameters<typeof certificateRecord>[0];
      caches.certificates.observe(certificateRecord(object));
    }
  });
  const secrets = await bytesOf(() => {
    for (let i = 0; i < count; i += 1) {
      for (const text of member(i).secrets) {
        const object = JSON.parse(text) as Secret;
        caches.secrets.observe(caches.withChangeTime(secretRecord(object, roots, contentOf(object))));
      }
    }
  });
  const renewals = await bytesOf(() => {
    for (const record of caches.certificates.values()) {
      queue.addAt(keyOf(record), new Date(record.status.renewalTime ?? ''));
    }
  });
  queue.shutDown();
  return { total: certificates + secrets + renewals, certificates, secrets, renewals };
}
