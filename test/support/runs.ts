/** How often fast-check tries a property, and from which seed. */
export interface Runs {
  readonly numRuns: number;
  readonly seed?: number;
}

/** The same histories with every run, unless the environment variable asks for so many others. */
export function historyRuns(variable: string, numRuns: number): Runs {
  const requested = process.env[variable];
  return requested === undefined ? { numRuns, seed: 20_261_129 } : { numRuns: Number(requested) };
}

/** The same cases with every run, unless FUZZ_CASES asks for so many others, and FUZZ_SEED for another seed. */
export const fuzzRuns = (numRuns: number, seed = 20_261_125): Required<Runs> => ({
  numRuns: Number(process.env['FUZZ_CASES'] ?? numRuns),
  seed: Number(process.env['FUZZ_SEED'] ?? seed),
});
