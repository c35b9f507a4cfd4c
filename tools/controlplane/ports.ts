import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range from which Linux, macOS and Windows take the ports of outgoing connections, so that a restarted server
// finds its port free.
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** A free port of 127.0.0.1, chosen at random because other processes may search at the same time. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found on 127.0.0.1 between ${LOWEST} and ${HIGHEST}`);
}

/** Whether this port of 127.0.0.1 is free now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
