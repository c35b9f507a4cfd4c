/** The variables that ask for more cases than `npm test` has by itself. */
export const longRunVariables: readonly string[] = [
  'CACHE_RUNS',
  'CONSENSUS',
  'CRASH_EVERY',
  'ELECTION_RUNS',
  'EVENT_RUNS',
  'FUZZ_CASES',
  'QUEUE_RUNS',
  'ROTATION_RUNS',
];

/** Whether this run is a long one on purpose: then nothing in it has a time-out by default. */
export const isLongRun = longRunVariables.some((name) => process.env[name] !== undefined);
