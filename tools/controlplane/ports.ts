import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range from which Linux, macOS and Windows take the ports of outgoing connections, so that a restarted server
// finds its port free.
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** A free port of the address, chosen at random because other processes may search at the same time. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port, host)) return port;
  }
  throw new Error(`no free port found on ${host} between ${LOWEST} and ${HIGHEST}`);
}

/** Whether this port of the address is free now. */
export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
