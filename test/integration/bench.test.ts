import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

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

const countOf = ({ requestsPerCertificate }: Round, key: string): number =>
  Math.round((requestsPerCertificate[key] ?? 0) * 2 * count);

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
    assert.equal(countOf(round, 'POST secrets'), 2 * count);
    assert.equal(countOf(round, 'PATCH mtlscertificates'), count);
    assert.ok(round.certificatesPerSecond > 0);
  }
  for (const key of ['create secrets', 'patch mtlscertificates']) {
    const [a = 0, b = 0] = [ceiling.sentKiBPerCertificate[key], operator.sentKiBPerCertificate[key]];
    assert.ok(Math.abs(a / b - 1) < 0.03, `${key}: the ceiling sends ${a} KiB, the operator ${b}`);
  }
});
