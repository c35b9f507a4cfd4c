import type { Outcome } from './measure.ts';
import { isWrite } from './plane.ts';
import { median, percentile, spread } from './statistics.ts';

/** All rounds of one contestant in one scenario. */
export interface Result {
  readonly scenario: string;
  readonly contestant: string;
  readonly rounds: readonly Outcome[];
  /** The rate divided by the ceiling's rate in the same round, for each round. */
  readonly ratios: readonly number[];
}

/** Prints the results: the median of the rounds and their range. */
export function printTables(results: readonly Result[]): void {
  console.log('\nMedian of the rounds (lowest–highest)');
  console.table(results.map(summary));
  console.log('Requests to the API server per certificate, without Leases and without the requests of the bench');
  console.table(results.flatMap(requests));
  const rows = results.flatMap(figures);
  if (rows.length > 0) console.table(rows);
}

const summary = ({ scenario, contestant, rounds, ratios }: Result) => ({
  scenario,
  contestant,
  'certificates/s': range(figuresOf(rounds, 'certificatesPerSecond'), 0),
  'of the ceiling': range(ratios, 2),
  'CPU, ms each': range(figuresOf(rounds, 'cpuMsPerCertificate'), 2),
  'API server CPU, ms each': range(figuresOf(rounds, 'apiServerCpuMsPerCertificate'), 2),
  'peak MiB': range(figuresOf(rounds, 'peakMiB'), 0),
  'settled MiB': range(figuresOf(rounds, 'settledMiB'), 0),
  'p50 / p99 / max, ms': latencies(rounds),
});

type NumberKey = { [K in keyof Outcome]-?: Outcome[K] extends number | undefined ? K : never }[keyof Outcome];

const figuresOf = (rounds: readonly Outcome[], key: NumberKey): number[] => rounds.flatMap((round) => round[key] ?? []);

function range(values: readonly number[], digits: number): string {
  if (values.length === 0) return '';
  const middle = median(values).toFixed(digits);
  const { lowest, highest } = spread(values);
  return values.length === 1 ? middle : `${middle} (${lowest.toFixed(digits)}–${highest.toFixed(digits)})`;
}

function latencies(rounds: readonly Outcome[]): string {
  const all = rounds.flatMap(({ latenciesMs = [] }) => latenciesMs);
  return all.length === 0 ? '' : [50, 99, 100].map((percent) => percentile(all, percent).toFixed(0)).join(' / ');
}

/** The requests that occur at least once in 200 certificates; writes first. */
function requests({ scenario, contestant, rounds }: Result) {
  const keys = [...new Set(rounds.flatMap(({ requestsPerCertificate = {} }) => Object.keys(requestsPerCertificate)))];
  const counts = keys
    .map((key) => ({
      key,
      count: median(rounds.map(({ requestsPerCertificate = {} }) => requestsPerCertificate[key] ?? 0)),
    }))
    .filter(({ count }) => count >= 0.005)
    .toSorted((a, b) => Number(isWrite(b.key)) - Number(isWrite(a.key)) || b.count - a.count);
  const list = counts.map(({ key, count }) => `${count.toFixed(2)} ${key}`).join(', ');
  const sent = rounds.map(({ sentKiBPerCertificate = {} }) => total(Object.values(sentKiBPerCertificate)));
  return list === '' ? [] : [{ scenario, contestant, requests: list, 'KiB sent': range(sent, 2) }];
}

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

function figures({ scenario, contestant, rounds }: Result) {
  const names = [...new Set(rounds.flatMap((round) => Object.keys(round.figures ?? {})))];
  return names.map((figure) => {
    const values = rounds.flatMap((round) => round.figures?.[figure] ?? []).filter((value) => !Number.isNaN(value));
    return { scenario, contestant, figure, value: range(values, 2) };
  });
}

/** The results as JSON: every round, with latencies as percentiles. */
export const asJson = (results: readonly Result[]): unknown =>
  results.map(({ rounds, ...rest }) => ({
    ...rest,
    rounds: rounds.map(({ latenciesMs, ...round }) => ({
      ...round,
      ...(latenciesMs === undefined
        ? {}
        : {
            latencyMs: Object.fromEntries([50, 90, 99, 99.9, 100].map((p) => [`p${p}`, percentile(latenciesMs, p)])),
          }),
    })),
  }));
