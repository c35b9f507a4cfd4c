import { KubeClient, loadConnection, namespaces } from '../../src/kube/index.ts';
import { readState } from '../../tools/controlplane/state.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { type ProcessUsage, usageOf } from './process-usage.ts';

/** The number of requests to the API server, by "VERB resource", such as "POST secrets". */
export type RequestCounts = ReadonlyMap<string, number>;

/** A control plane for one measurement, so that the objects of other measurements do not slow it down, and its meters. */
export interface Plane {
  readonly cluster: TestCluster;
  /** The client of the bench. Its requests are not counted. */
  readonly client: KubeClient;
  /** The namespaces of the resources. */
  readonly namespaces: readonly string[];
  apiServerUsage(): ProcessUsage;
  /** Bytes of etcd's data. */
  storedBytes(): Promise<number>;
  /** The requests to the API server so far, without those of the bench. */
  requests(): Promise<RequestCounts>;
  /** Bytes written so far, by "verb resource", including those of the bench. */
  sentBytes(): Promise<RequestCounts>;
  stop(): Promise<void>;
}

const namespaceCount = 10;

/** The verbs of KubeClient, as the metric names them. */
const verbs = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
} as const;

export async function startPlane(): Promise<Plane> {
  const cluster = await startTestCluster();
  const own = new Map<string, number>();
  const client = new KubeClient(await loadConnection({ kubeconfig: cluster.kubeconfig }), {
    userAgent: 'bench',
    onRequest: ({ verb, resource }) => add(own, `${verbs[verb]} ${resource}`, 1),
  });
  const stop = async () => {
    await client.close();
    await cluster.stop();
  };
  try {
    const names = Array.from({ length: namespaceCount }, (_, i) => `bench-${i}`);
    for (const name of names) await client.create(namespaces, { metadata: { name } });
    const apiServer = readState(cluster.dir)?.processes.find(({ name }) => name === 'kube-apiserver');
    if (apiServer === undefined) throw new Error('the state of the control plane has no process kube-apiserver');
    const metrics = () => cluster.kubectl(['get', '--raw', '/metrics']);
    return {
      cluster,
      client,
      namespaces: names,
      apiServerUsage: () => usageOf(apiServer.pid),
      storedBytes: async () => samplesOf('apiserver_storage_size_bytes', await metrics())[0]?.value ?? Number.NaN,
      requests: async () => {
        const counted = totals(samplesOf('apiserver_request_total', await metrics()));
        return difference(own, counted);
      },
      sentBytes: async () => totals(samplesOf('apiserver_request_body_size_bytes_sum', await metrics())),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The requests between two readings that concern certificates, without Leases and background requests of other programs. */
export function between(before: RequestCounts, after: RequestCounts): RequestCounts {
  const counts = [...difference(before, after)].filter(([key, count]) => count > 0 && concerns.test(key));
  return new Map(counts.sort(([, a], [, b]) => b - a));
}

const concerns =
  / (secrets|configmaps|events|mtls|certificate|clusterissuers|issuers|clustertrustbundles|podcertificate|pods|services)/;

export const isWrite = (key: string): boolean => !/^(GET|LIST|WATCH) /.test(key);

interface Sample {
  readonly label: (name: string) => string;
  readonly value: number;
}

/** The values of a metric, in the text format of Prometheus. */
const samplesOf = (metric: string, text: string): Sample[] =>
  [...text.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\S+)$`, 'gm'))].map(([, labels = '', value]) => ({
    label: (name) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '',
    value: Number(value),
  }));

/** Sums by verb and resource. Requests without a resource are left out. */
function totals(samples: readonly Sample[]): RequestCounts {
  const counts = new Map<string, number>();
  for (const { label, value } of samples) {
    if (label('resource') !== '') add(counts, `${label('verb')} ${label('resource')}`, value);
  }
  return counts;
}

function difference(before: RequestCounts, after: RequestCounts): RequestCounts {
  return new Map([...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)]));
}

function add(counts: Map<string, number>, key: string, count: number): void {
  counts.set(key, (counts.get(key) ?? 0) + count);
}
