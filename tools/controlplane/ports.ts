import { randomInt } from 'node:crypto';
import { createServer, type ListenOptions } from 'node:net';

// Below the range from which Linux, macOS and Windows take the ports of outgoing connections, so that a restarted server
// finds its port free.
const LOWEST = 12_000;
const HIGHEST = 32_000;

/**
 * A free port of the address, chosen at random. On Linux, no other call returns this port until this process ends, in this or
 * another process: between the call and the start of the program that listens, the port is free for everyone else.
 */
export async function freePort(
  host = '127.0.0.1',
  { lowest = LOWEST, highest = HIGHEST }: { readonly lowest?: number; readonly highest?: number } = {},
): Promise<number> {
  const count = highest - lowest;
  const first = randomInt(count);
  for (let i = 0; i < count; i++) {
    const port = lowest + ((first + i) % count);
    if ((await isFree(port, host)) && (await reserve(port))) return port;
  }
  throw new Error(`no free port found on ${host} between ${lowest} and ${highest}`);
}

/** Whether this port of the address is free now. */
export async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = await listening({ port, host });
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** Reserves a port among the processes that call this. False if it is reserved already. */
async function reserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  // An abstract socket: like the ports, it belongs to the network namespace, and it disappears with this process.
  const socket = await listening({ path: `\0mtls-operator-port-${port}` });
  socket?.unref();
  return socket !== undefined;
}

/** A server that listens there. Undefined if another one does. */
function listening(options: ListenOptions) {
  const server = createServer();
  return new Promise<typeof server | undefined>((resolve) => {
    server.on('error', () => resolve(undefined));
    server.listen(options, () => resolve(server));
  });
}
