import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range from which Linux, macOS and Windows take the ports of outgoing connections. A server that is stopped
// and started again therefore finds its port as it left it.
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** A port of 127.0.0.1 that nothing listens on just now: chosen at random, since others look for one at the same time. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  throw new Error('there is no free port on 127.0.0.1');
}

/** Whether one could listen on this port of 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
