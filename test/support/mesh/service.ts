import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import type { RunningServer } from '../peers/index.ts';

/** A stable address in front of a program that can be replaced, like a Service in front of its pods. */
export interface Service {
  readonly port: number;
  /**
   * Starts the next program and directs new connections to it. The previous program ends after its last connection. Clients
   * see no interruption.
   */
  readonly replace: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

interface Backend {
  readonly server: RunningServer;
  readonly connections: Set<Socket>;
  /** Called when the last connection is gone. */
  onIdle: () => void;
}

/** Starts a program and a service in front of it. */
export async function startService(start: () => Promise<RunningServer>): Promise<Service> {
  const startBackend = async (): Promise<Backend> => ({
    server: await start(),
    connections: new Set(),
    onIdle: () => {},
  });
  let current = await startBackend();
  const leaving = new Set<Promise<void>>();

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const backend = current;
    const upstream = connect({ port: backend.server.port, host: '127.0.0.1', allowHalfOpen: true });
    // Forward both kinds of end to the other connection: an orderly close and a reset.
    client.pipe(upstream);
    upstream.pipe(client);
    client.on('error', () => upstream.resetAndDestroy());
    upstream.on('error', () => client.resetAndDestroy());
    backend.connections.add(upstream);
    upstream.on('close', () => {
      backend.connections.delete(upstream);
      if (backend.connections.size === 0) backend.onIdle();
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  async function leave(backend: Backend): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    backend.onIdle = resolve;
    if (backend.connections.size === 0) resolve();
    await promise;
    await backend.server.stop();
  }

  return {
    port: (listener.address() as AddressInfo).port,
    async replace() {
      const previous = current;
      current = await startBackend();
      const left = leave(previous).finally(() => leaving.delete(left));
      leaving.add(left);
    },
    async stop() {
      listener.close();
      for (const socket of current.connections) socket.destroy();
      await Promise.all([...leaving, leave(current)]);
    },
  };
}
