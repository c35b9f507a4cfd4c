/** With less memory for each compiler, its garbage collector stays on. The largest packages need about this much without it. */
const ENOUGH = 1024 ** 3;

/** The part of the available memory that the compilers may use together. */
const SHARE = 0.7;

/**
 * The environment for the compilers that run at a time, one for each core. A compiler ends after seconds, so collecting its
 * garbage costs more than the memory is worth: a third of the CPU time. GOMEMLIMIT turns the collector on again before
 * the memory is used up. Variables that the user has set stay as they are. `availableBytes` respects the limit of a container.
 */
export function compilerEnvironment(
  environment: NodeJS.ProcessEnv,
  { availableBytes, cores }: { readonly availableBytes: number; readonly cores: number },
): NodeJS.ProcessEnv {
  const limit = Math.floor((availableBytes * SHARE) / Math.max(1, cores));
  if (limit < ENOUGH || environment['GOGC'] !== undefined || environment['GOMEMLIMIT'] !== undefined)
    return environment;
  return { ...environment, GOGC: 'off', GOMEMLIMIT: `${Math.floor(limit / 1024 ** 2)}MiB` };
}
