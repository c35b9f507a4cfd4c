import { annotations } from '../../src/api/names.ts';
import { authorities } from '../../src/controllers/resources.ts';
import type { KubeClient } from '../../src/kube/index.ts';
import type { Operator } from '../support/operator.ts';
import { scrape, writes } from './scrape.ts';

const name = 'default';
const propagationSeconds = 2;

/**
 * Rotates the root of the default authority as fast as its gates allow, and prints how long that took beside the two
 * waits for pods, and what was written.
 * @param resources how many MtlsCertificates it has, each with two Secrets
 */
export async function rotateRoot(client: KubeClient, operator: Operator, resources: number): Promise<void> {
  const { resourceVersion } = await client.list(authorities, { limit: 1 });
  const rotation = {
    approval: 'Automatic',
    propagationDelay: `${propagationSeconds}s`,
    reissuesPerSecond: 10_000,
  } as const;
  await client.mergePatch(authorities, { name }, { spec: { rotation } });
  const before = await scrape(operator.url);
  const started = performance.now();
  const token = `bench-${Date.now()}`;
  await client.mergePatch(authorities, { name }, { metadata: { annotations: { [annotations.rotateRoot]: token } } });
  const phases = await phaseTimes(client, resourceVersion, token);
  const seconds = (performance.now() - started) / 1000;
  const after = await scrape(operator.url);
  const certificates = 2 * resources;
  console.log(`\nrotation of the root with ${resources} client+server pairs`);
  console.log(`  in all                     ${seconds.toFixed(2)} s`);
  console.log(`  beside the two waits       ${(seconds - 2 * propagationSeconds).toFixed(2)} s`);
  for (const [phase, at] of phases) console.log(`  ${phase.padEnd(26)} after ${((at - started) / 1000).toFixed(2)} s`);
  const cpuMs = (after.cpuSeconds - before.cpuSeconds) * 1000;
  console.log(`  operator CPU               ${(cpuMs / certificates).toFixed(2)} ms per certificate`);
  for (const [what, times] of writes(before, after)) {
    console.log(`  ${what.padEnd(26)} ${(times / certificates).toFixed(3)} per certificate`);
  }
}

/** When each phase was first seen, until the rotation for the token is over. */
async function phaseTimes(client: KubeClient, resourceVersion: string, token: string): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  for await (const event of client.watch(authorities, { resourceVersion, idleTimeoutMs: 600_000 })) {
    if (event.type !== 'MODIFIED' || event.object.metadata.name !== name) continue;
    const { status } = event.object;
    const phase = status?.rotation?.phase;
    if (phase !== undefined && !seen.has(phase)) seen.set(phase, performance.now());
    if (phase === undefined && seen.size > 0 && status?.lastHandledRotateRoot === token) return seen;
  }
  throw new Error('the watch ended');
}
