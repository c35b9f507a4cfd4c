import { secrets } from '../../src/kube/index.ts';
import { inParallel } from '../support/parallel.ts';
import type { Plane } from './plane.ts';

/** How fast this machine is at present, by what any client could do: virtual cores differ by a factor, from hour to hour, too. */
export interface Yardstick {
  /** Secrets of 3.5 KB that are created in a second, 32 at a time. */
  readonly secretsPerSecond: number;
  /** CPU milliseconds of this client and of the API server for each. */
  readonly clientCpuMs: number;
  readonly apiServerCpuMs: number;
}

const count = 1500;
const width = 32;
const data = { value: Buffer.alloc(2600, 'x').toString('base64') };

/** Creates Secrets with nothing in them that anybody looks at. */
export async function measureYardstick(plane: Plane): Promise<Yardstick> {
  const { client, namespaces } = plane;
  const create = (name: string, i: number) =>
    client.create(
      secrets,
      { metadata: { name: `${name}-${i}`, namespace: namespaces[i % namespaces.length] ?? '' }, data },
      { metadataOnly: true },
    );
  // Both sides compile their code first.
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
