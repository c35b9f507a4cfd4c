// The image loads this file before main.ts. Process 1 of a container ignores a signal that it has no handler for, and main.ts
// takes a moment to load.

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

/** Aborts on the first SIGTERM or SIGINT, which stops the operator gracefully. A second signal ends the process at once. */
export const stopSignal: AbortSignal = stop.signal;
