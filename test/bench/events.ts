// npm run bench -- events: the CPU cost of the caches and of comparing a status, without an API server.

import { Caches } from '../../src/controllers/cache/caches.ts';
import { EventHandlers } from '../../src/controllers/event-handlers.ts';
import { secretRecord } from '../../src/controllers/objects/leaf-secret.ts';
import { certificateRecord } from '../../src/controllers/objects/resources.ts';
import { statusChange } from '../../src/controllers/objects/status-writer.ts';
import { type Secret, WorkQueue } from '../../src/kube/index.ts';
import { planCertificateStatus, rolesOf, secretNameOf } from '../../src/plan/index.ts';
import { contentOf, issuedAt, member, roots } from './population.ts';

type Resource = Parameters<typeof certificateRecord>[0];

const count = 2000;
const rounds = 5;

/** Prints the table for a cluster with some thousand resources. Each resource changes once. */
export function benchEvents(): void {
  const members = Array.from({ length: count }, (_, i) => member(i));
  const resources = members.map(({ certificate }) => JSON.parse(certificate) as Resource);
  const secrets = members.flatMap((one) => one.secrets.map((text) => JSON.parse(text) as Secret));
  const contents = secrets.map(contentOf);
  const records = resources.map(certificateRecord);
  const secretRecords = secrets.map((secret, i) => secretRecord(secret, roots, contents[i]));
  const caches = new Caches(() => roots);
  const certificate = new WorkQueue();
  const others = { authority: new WorkQueue(), trust: new WorkQueue(), pods: new WorkQueue() };
  const triggers = new EventHandlers(caches, { ...others, certificate });
  for (const record of records) caches.certificates.observe(record);
  for (const record of secretRecords) caches.secrets.observe(record);
  triggers.all();
  let revision = 1_000_000;
  const later = <R extends { readonly resourceVersion: string }>(record: R): R => ({
    ...record,
    resourceVersion: String((revision += 1)),
  });
  const statuses = records.map((record, i) => {
    const outcomes = rolesOf(record.spec).map((role, j) => {
      const secret = secretRecords[2 * i + j];
      return {
        role: { role, secretName: secretNameOf(record.name, record.spec, role), ...(secret ? { secret } : {}) },
      };
    });
    return planCertificateStatus(record, outcomes, issuedAt, roots).status;
  });
  console.log('CPU of each operation, in microseconds');
  console.table({
    'read a certificate': microseconds(count, (i) => certificateRecord(resources[i] as Resource)),
    'read a Secret without its certificate': microseconds(2 * count, (i) =>
      secretRecord(secrets[i] as Secret, roots, contents[i]),
    ),
    'cache a certificate': microseconds(count, (i) => caches.certificates.observe(later(records[i] as never))),
    'cache a Secret': microseconds(2 * count, (i) => caches.secrets.observe(later(secretRecords[i] as never))),
    'find that a status is unchanged': microseconds(count, (i) => {
      const patch = statusChange((records[i] as (typeof records)[0]).status, statuses[i] as never, issuedAt);
      if (patch !== undefined) throw new Error('the status has changed');
    }),
  });
  for (const queue of [...Object.values(others), certificate]) queue.shutDown();
}

/** The minimum of several rounds, the one that other processes disturbed least. */
function microseconds(times: number, work: (index: number) => unknown): number {
  const costs = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage();
    for (let i = 0; i < times; i += 1) work(i);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / times;
  });
  return Number(Math.min(...costs).toFixed(2));
}
