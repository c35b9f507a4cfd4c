import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import type { RunningServer } from '../peers/index.ts';

/** A stable address in front of a program that is replaced by another: what a Service is to its pods. */
export interface Service {
  readonly port: number;
  /**
   * Starts the next program; once it serves, new connections go to it, and its predecessor ends after the last of its
   * own. Nobody who connects notices.
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

/** Starts a program, and a service in front of it. */
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
    // What one side does to its connection happens to the other: an orderly end as well as a reset.
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
