import { secrets } from '../../src/kube/index.ts';
import { inParallel } from '../support/parallel.ts';
import type { Plane } from './plane.ts';

/** The current speed of this machine for a simple client. Virtual cores differ by a factor, also from hour to hour. */
export interface Yardstick {
  /** Secrets of 3.5 KB created per second, 32 at a time. */
  readonly secretsPerSecond: number;
  /** CPU milliseconds of this client and of the API server per Secret. */
  readonly clientCpuMs: number;
  readonly apiServerCpuMs: number;
}

const count = 1500;
const width = 32;
const data = { value: Buffer.alloc(2600, 'x').toString('base64') };

/** Creates Secrets with meaningless content. */
export async function measureYardstick(plane: Plane): Promise<Yardstick> {
  const { client, namespaces } = plane;
  const create = (name: string, i: number) =>
    client.create(
      secrets,
      { metadata: { name: `${name}-${i}`, namespace: namespaces[i % namespaces.length] ?? '' }, data },
      { metadataOnly: true },
    );
  // A warm-up, in which this client and the API server compile and cache their code.
  await inParallel(Array(count / 3).keys(), (i) => create('warm', i), width);
  const [own, apiServer, started] = [process.cpuUsage(), plane.apiServerUsage(), performance.now()];
  await inParallel(Array(count).keys(), (i) => create('yardstick', i), width);
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(own);
  return {
    secretsPerSecond: count / seconds,
    clientCpuMs: (user + system) / 1000 / count,
    apiServerCpuMs: ((plane.apiServerUsage().cpuSeconds - apiServer.cpuSeconds) * 1000) / count,
  };
}
