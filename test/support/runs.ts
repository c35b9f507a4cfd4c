import { randomInt } from 'node:crypto';

/** The number of runs of a fast-check property, and its seed. */
export interface Runs {
  readonly numRuns: number;
  readonly seed: number;
}

const seedOr = (seed: number): number => Number(process.env['FUZZ_SEED'] ?? seed);

/**
 * The same histories in every run. If the environment variable sets another number of runs, each run has other histories.
 * FUZZ_SEED sets the seed. A failure reports it.
 */
export function historyRuns(variable: string, numRuns: number): Runs {
  const requested = process.env[variable];
  return requested === undefined
    ? { numRuns, seed: seedOr(20_261_129) }
    : { numRuns: Number(requested), seed: seedOr(randomInt(2 ** 31)) };
}

/** The same cases in every run, unless FUZZ_CASES sets another number of runs, or FUZZ_SEED another seed. */
export const fuzzRuns = (numRuns: number, seed = 20_261_125): Runs => ({
  numRuns: Number(process.env['FUZZ_CASES'] ?? numRuns),
  seed: seedOr(seed),
});
