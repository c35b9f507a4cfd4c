import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

// Optimised code is not counted after inlining, and when V8 inlines depends on the machine.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/** How often each block of the sources ran since the last call. V8 answers before `post` returns. */
function takeCount(folder: string): number {
  let count = 0;
  session.post('Profiler.takePreciseCoverage', (error, { result }) => {
    if (error !== null) throw error;
    const blocks = result.filter(({ url }) => url.includes(folder)).flatMap(({ functions }) => functions);
    for (const { ranges } of blocks) for (const range of ranges) count += range.count;
  });
  return count;
}

/**
 * The work of a call in the sources below a folder, independent of the machine: how often functions, branches and loops
 * were entered. Work inside V8's and Node's own functions does not count.
 */
export function workOf(folder: string, act: () => void): number {
  takeCount(folder);
  act();
  return takeCount(folder);
}
