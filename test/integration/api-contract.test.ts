import { after, describe } from 'node:test';

import { KubeClient, loadConnection } from '../../src/kube/index.ts';
import { testApiContract } from '../support/api-contract.ts';
import { installation } from '../support/installation.ts';

// A failure means: the API server in memory, which the simulations of unit tests use, differs from the real one.
describe('a real API server', () => {
  let client: KubeClient;
  const world = installation({ operator: false }, async ({ cluster: { kubeconfig } }) => {
    client = new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'contract-test/1' });
  });
  after(() => client?.close());

  testApiContract(async () => ({ client, namespace: await world.cluster.namespace('contract') }));
});
