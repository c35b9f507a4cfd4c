import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

// A function that the optimiser has put into its caller is not counted any more, and when it does so is up to the machine.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/** How often each block of the sources ran since this was asked last. V8 answers before it returns. */
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
 * How much the sources in a folder have to do for a call, whatever the machine: how often their functions, branches and
 * loops were entered. What V8's and Node's own functions do for them does not count.
 */
export function workOf(folder: string, act: () => void): number {
  takeCount(folder);
  act();
  return takeCount(folder);
}
