import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { type Api, kindsAreServed, openApi, paths } from '../api.ts';
import { startTestCluster, type TestCluster } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { type Helm, openHelm } from './helm.ts';
import { type Pod, startPod } from './pod.ts';

export const CRDS = fileURLToPath(new URL('../../../crds', import.meta.url));

const OWN_GROUP = 'mtls-operator.io';

/** A control plane without an operator, and Helm for it. */
export interface ChartCluster {
  readonly cluster: TestCluster;
  readonly api: Api;
  /** Helm 4. */
  readonly helm: Helm;
  /** Starts the operator as a pod of this Deployment. */
  readonly startPod: (namespace: string, deployment: string) => Promise<Pod>;
  readonly createNamespace: (name: string) => Promise<unknown>;
  /** Waits until the API server serves the custom resources. */
  readonly crdsAreServed: () => Promise<unknown>;
  /** Deletes the CRDs and with them all custom resources, and waits until the API server no longer serves them. */
  readonly deleteCrds: () => Promise<unknown>;
  readonly stop: () => Promise<void>;
}

export async function startChartCluster(): Promise<ChartCluster> {
  const cluster = await startTestCluster({ manifests: false });
  const api = openApi(cluster);
  const pods: Pod[] = [];
  return {
    cluster,
    api,
    helm: await openHelm('helm', cluster.kubeconfig),
    async startPod(namespace, deployment) {
      const pod = await startPod(cluster, api, `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`);
      pods.push(pod);
      return pod;
    },
    createNamespace: (name) => api.create(paths.namespaces(), { metadata: { name } }),
    crdsAreServed: () => kindsAreServed(api),
    async deleteCrds() {
      const names = ['mtlscertificates', 'mtlsauthorities'].map((plural) => `${plural}.mtls-operator.io`);
      await cluster.kubectl(['delete', 'crd', '--ignore-not-found', ...names]);
      await eventually(async () => {
        const { groups } = await api.get<{ groups: { name: string }[] }>('/apis');
        assert.ok(!groups.some(({ name }) => name === OWN_GROUP), `${OWN_GROUP} is still served`);
      });
    },
    async stop() {
      try {
        for (const { operator } of pods) await operator.stop();
      } finally {
        await api.close();
        await cluster.stop();
      }
    },
  };
}
