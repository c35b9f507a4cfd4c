import { after, before, describe } from 'node:test';

import { KubeClient, loadConnection } from '../../src/kube/index.ts';
import { testApiContract } from '../support/api-contract.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';

// Broken if it fails: the API server in memory, on which the simulations of unit tests run, is not like the real one.
describe('a real API server', () => {
  let cluster: TestCluster;
  let client: KubeClient;

  before(async () => {
    cluster = await startTestCluster();
    client = new KubeClient(await loadConnection({ kubeconfig: cluster.kubeconfig }), { userAgent: 'contract-test/1' });
  });

  after(async () => {
    await client?.close();
    await cluster?.stop();
  });

  testApiContract(async () => ({ client, namespace: await cluster.namespace('contract') }));
});
