import assert from 'node:assert/strict';
import { startTestCluster, type TestCluster } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { type Operator, startOperator } from '../operator.ts';
import { type FaultyProxy, startProxy } from '../proxy.ts';
import { type AdminApi, adminApi } from './api.ts';
import { createPair, type NamespaceState, namespaceState, pairsAt, requestRotation } from './certificates.ts';
import { recordSecrets, type SecretHistory } from './secret-history.ts';

/** A cluster in which the operator is disturbed while it works on pairs: MtlsCertificates with a server and a client. */
export interface FaultCluster {
  readonly cluster: TestCluster;
  readonly api: AdminApi;
  readonly history: SecretHistory;
  createPairs(namespace: string, names: readonly string[]): Promise<void>;
  requestRotations(namespace: string, names: readonly string[], token: string): Promise<void>;
  /**
   * Waits until a namespace is as it is to be, and asserts that it was never wrong on the way there. A failure shows
   * the end of the operators' logs.
   */
  assertEndsAs(namespace: string, expected: NamespaceState, ...operators: readonly Operator[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startFaultCluster(): Promise<FaultCluster> {
  const cluster = await startTestCluster();
  const api = adminApi(cluster);
  const history = await recordSecrets(api);
  return {
    cluster,
    api,
    history,
    createPairs: (namespace, names) => inParallel(names, (name) => createPair(api, namespace, name)),
    requestRotations: (namespace, names, token) =>
      inParallel(names, (name) => requestRotation(api, namespace, name, token)),
    async assertEndsAs(namespace, expected, ...operators) {
      // Longer than the longest time-out that a fault makes the operator wait for.
      const options = { timeoutMs: 150_000, message: `${namespace} does not end as it should` };
      try {
        await eventually(async () => assert.deepEqual(await namespaceState(api, namespace), expected), options);
        await eventually(() => history.assertOneKeyPerRevision(namespace));
      } catch (error) {
        const logs = operators.map((operator) => `the end of a log:\n${operator.logTail()}`);
        throw new Error([(error as Error).message, ...logs].join('\n'), { cause: error });
      }
    },
    async stop() {
      await history.stop();
      await cluster.stop();
    },
  };
}

/** A fault cluster with a proxy between its operator and the API server. */
export interface ProxiedCluster extends FaultCluster {
  readonly proxy: FaultyProxy;
}

export async function startProxiedCluster(): Promise<ProxiedCluster> {
  const faults = await startFaultCluster();
  try {
    const proxy = await startProxy(faults.cluster);
    const stop = async (): Promise<void> => {
      await proxy.stop();
      await faults.stop();
    };
    return { ...faults, proxy, stop };
  } catch (error) {
    await faults.stop();
    throw error;
  }
}

/** So many names, of resources and of the Service and ServiceAccount that they are for. */
export const pairNames = (count: number): string[] => Array.from({ length: count }, (_, index) => `app-${index}`);

/** Runs an operator for as long as `work` takes; ends it by SIGKILL, which no test may be surprised by. */
export async function withOperator<T>(
  cluster: TestCluster,
  options: Parameters<typeof startOperator>[1],
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const operator = await startOperator(cluster, options);
  try {
    return await work(operator);
  } finally {
    await operator.kill();
  }
}

/** Pairs that were issued by an operator that runs no more. */
export async function issuePairs(faults: FaultCluster, namespace: string, names: readonly string[]): Promise<void> {
  await withOperator(faults.cluster, {}, async (operator) => {
    await faults.createPairs(namespace, names);
    await faults.assertEndsAs(namespace, pairsAt(names, 1), operator);
  });
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
