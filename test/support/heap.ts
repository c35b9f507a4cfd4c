import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The bytes of the heap that are in use after a garbage collection. */
export function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  setFlagsFromString('--no-expose-gc');
  return process.memoryUsage().heapUsed;
}

/** Like heapInUse, after turns of the event loop: some garbage is collected only in a later turn. */
export async function heapBytes(): Promise<number> {
  for (let i = 0; i < 2; i += 1) {
    await setImmediate();
    heapInUse();
  }
  await setImmediate();
  return heapInUse();
}
