import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ceilingContestant } from '../bench/ceiling.ts';
import type { Outcome } from '../bench/measure.ts';
import { operatorContestant } from '../bench/operator-contestant.ts';
import { startPlane } from '../bench/plane.ts';
import { podBurst } from '../bench/scenarios/pods.ts';
import { scratchFolder } from '../support/scratch.ts';

/** Client+server pairs. */
const count = 40;

const main = fileURLToPath(new URL('../bench/main.ts', import.meta.url));

interface Round {
  readonly certificatesPerSecond: number;
  readonly requestsPerCertificate: Readonly<Record<string, number>>;
  readonly sentKiBPerCertificate: Readonly<Record<string, number>>;
}

interface Report {
  readonly results: ReadonlyArray<{
    readonly contestant: string;
    readonly ratios: readonly number[];
    readonly rounds: readonly Round[];
  }>;
}

/**
 * Asserts that a round made this many requests of a kind. A busy machine repeats a few of them, after a time-out or a conflict; a
 * second write for each certificate would double them.
 */
function assertCount(
  { requestsPerCertificate }: Pick<Outcome, 'requestsPerCertificate'>,
  key: string,
  of: number,
  certificates: number,
): void {
  const times = (requestsPerCertificate?.[key] ?? 0) * certificates;
  assert.ok(times > 0.99 * of && times < 1.5 * of, `${key}: ${times} requests for ${of}`);
}

test('the benchmark and the operator make the same writes: one Secret for each certificate, one status for each resource (2 min: the whole benchmark runs)', async () => {
  const output = join(await scratchFolder('bench'), 'bench.json');
  const options = ['--scenario', 'burst', '--count', String(count), '--rounds', '1', '--no-settle', '--output', output];
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...options]);
  assert.match(stdout, /of the ceiling/);
  const { results } = JSON.parse(readFileSync(output, 'utf8')) as Report;
  const roundOf = (name: string): Round => {
    const round = results.find(({ contestant }) => contestant === name)?.rounds[0];
    assert.ok(round, `there is no round of the ${name}`);
    return round;
  };
  const [ceiling, operator] = [roundOf('ceiling'), roundOf('operator')];
  for (const round of [ceiling, operator]) {
    assertCount(round, 'POST secrets', 2 * count, 2 * count);
    assertCount(round, 'PATCH mtlscertificates', count, 2 * count);
    assert.ok(round.certificatesPerSecond > 0);
  }
  for (const [key, request] of [
    ['create secrets', 'POST secrets'],
    ['patch mtlscertificates', 'PATCH mtlscertificates'],
  ] as const) {
    const sizeOf = ({ sentKiBPerCertificate: sent, requestsPerCertificate: requests }: Round): number =>
      (sent[key] ?? 0) / (requests[request] ?? 0);
    const [a, b] = [sizeOf(ceiling), sizeOf(operator)];
    assert.ok(Math.abs(a / b - 1) < 0.03, `${key}: the ceiling sends ${a} KiB, the operator ${b}`);
  }
});

test('the scenario `pods` measures ceiling and operator in the same way, and checks the order of answers (30 s: two programs start and answer two bursts each)', async () => {
  const plane = await startPlane();
  const podCount = 30;
  const settings = { count: 2 * podCount, settles: false, ceilingPairsPerSecond: Number.NaN };
  const [first, second] = [plane.namespaces.slice(0, 5), plane.namespaces.slice(5)];
  try {
    // The ceiling copies the first answer that it finds, so it runs before another burst has other keys.
    const ceiling = await podBurst.run({ ...plane, namespaces: first }, ceilingContestant({}), settings);
    const operator = await podBurst.run({ ...plane, namespaces: second }, operatorContestant, settings);
    for (const { latenciesMs = [], requestsPerCertificate = {}, certificatesPerSecond, ...rest } of [
      ceiling,
      operator,
    ]) {
      assert.equal(latenciesMs.filter((ms) => ms > 0).length, podCount);
      assertCount({ requestsPerCertificate }, 'PUT podcertificaterequests', podCount, podCount);
      for (const figure of [certificatesPerSecond, rest.cpuMsPerCertificate]) assert.ok((figure ?? Number.NaN) >= 0);
      assert.ok((rest.figures?.['largest lead of a namespace, answers'] ?? 0) > 0);
    }
    assertCount(operator, 'GET pods', podCount, podCount);
    assert.equal(ceiling.requestsPerCertificate?.['GET pods'] ?? 0, 0);
  } finally {
    await plane.stop();
  }
});
