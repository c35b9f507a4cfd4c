/** Environment variables that request more cases than `npm test` runs by default. */
export const longRunVariables: readonly string[] = [
  'CACHE_RUNS',
  'CONSENSUS',
  'CRASH_EVERY',
  'ELECTION_RUNS',
  'EVENT_RUNS',
  'FUZZ_CASES',
  'IMPORT_CASES',
  'MESH_ROTATIONS',
  'POD_REFRESH',
  'PROXY_CASES',
  'QUEUE_RUNS',
  'ROTATION_RUNS',
];

/** Whether one of these variables is set. Tests then have no default time-out. */
export const isLongRun = longRunVariables.some((name) => process.env[name] !== undefined);
