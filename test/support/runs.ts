/** The number of runs of a fast-check property, and its seed. */
export interface Runs {
  readonly numRuns: number;
  readonly seed?: number;
}

/** The same histories in every run, unless the environment variable sets another number of runs. */
export function historyRuns(variable: string, numRuns: number): Runs {
  const requested = process.env[variable];
  return requested === undefined ? { numRuns, seed: 20_261_129 } : { numRuns: Number(requested) };
}

/** The same cases in every run, unless FUZZ_CASES sets another number of runs, or FUZZ_SEED another seed. */
export const fuzzRuns = (numRuns: number, seed = 20_261_125): Required<Runs> => ({
  numRuns: Number(process.env['FUZZ_CASES'] ?? numRuns),
  seed: Number(process.env['FUZZ_SEED'] ?? seed),
});
