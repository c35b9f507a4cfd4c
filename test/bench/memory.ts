// npm run bench -- memory: what the caches hold of a resource, in bytes of heap, without an API server.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Caches } from '../../src/controllers/caches.ts';
import { certificateRecord } from '../../src/controllers/resources.ts';
import { secretRecord } from '../../src/controllers/secret-record.ts';
import { keyOf, type Secret, WorkQueue } from '../../src/kube/index.ts';
import { contentOf, member, roots } from './population.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Prints the table. What is under "of it" is part of what is above. */
export function benchMemory(): void {
  console.log('bytes of heap per resource: an MtlsCertificate with two Secrets');
  console.table(Object.fromEntries([1000, 10_000, 50_000].map((count) => [count, bytesPerResource(count)])));
}

function bytesPerResource(count: number): Record<string, number> {
  const caches = new Caches();
  const queue = new WorkQueue();
  const bytesOf = (fill: () => unknown): number => {
    const before = heapBytes();
    const kept = fill();
    const bytes = heapBytes() - before;
    void kept;
    return Math.round(bytes / count);
  };
  const certificates = bytesOf(() => {
    for (let i = 0; i < count; i += 1) {
      const object = JSON.parse(member(i).certificate) as Parameters<typeof certificateRecord>[0];
      caches.certificates.observe(certificateRecord(object));
    }
  });
  const secrets = bytesOf(() => {
    for (let i = 0; i < count; i += 1) {
      for (const text of member(i).secrets) {
        const object = JSON.parse(text) as Secret;
        caches.secrets.observe(caches.dated(secretRecord(object, roots, contentOf(object))));
      }
    }
  });
  const renewals = bytesOf(() => {
    for (const record of caches.certificates.values()) {
      queue.addAt(keyOf(record), new Date(record.status.renewalTime ?? ''));
    }
  });
  queue.shutDown();
  return { total: certificates + secrets + renewals, certificates, secrets, renewals };
}

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
