import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { scratchFolder } from '../scratch.ts';

/** The rules that the chart ships. */
export const rulesFile = fileURLToPath(new URL('../../../deploy/helm/mtls-operator/files/rules.yaml', import.meta.url));

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook', string>>;
}

/** The shipped alerts. The two severities of an alert are two entries. */
export const shippedAlerts = (): readonly Alert[] =>
  (
    parse(readFileSync(rulesFile, 'utf8')) as { readonly groups: readonly { readonly rules: readonly Alert[] }[] }
  ).groups.flatMap(({ rules }) => rules);

/** Values of series from minute 0 on, one a minute, in the notation of `promtool test rules`. */
export type Series = Readonly<Record<string, string>>;

/** What an expression returns after some time: series without a value, or nothing. */
export interface Expectation {
  readonly expr: string;
  /** For example `14m`. */
  readonly at: string;
  readonly labels: readonly string[];
}

/** Evaluates the shipped rules on these series by `promtool test rules`. Throws with its output when a result differs. */
export async function testRules(series: Series, expectations: readonly Expectation[]): Promise<void> {
  const file = join(await scratchFolder('rules'), 'test.yaml');
  const test = {
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: expectations.map(({ expr, at, labels }) => ({
      expr,
      eval_time: at,
      exp_samples: labels.map((text) => ({ labels: text, value: 1 })),
    })),
  };
  await writeFile(file, JSON.stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests: [test] }));
  await promtool('test', 'rules', file);
}

/** Runs promtool and returns its output. Throws with the output unless it succeeds. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('promtool', args).catch((error: unknown) => {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`promtool ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  });
  return stdout + stderr;
}
