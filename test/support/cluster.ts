import { fileURLToPath } from 'node:url';

import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../../tools/controlplane/controlplane.ts';
import { OPERATOR, type OperatorLogin, type Subject, writeServiceAccount } from '../../tools/operator.ts';
import { openApi, paths, readKubeconfig, type Stored } from './api.ts';

/** A control plane for one test file, with `deploy/` installed unless the test installs the operator itself. */
export interface TestCluster extends Omit<ControlPlane, 'kubectl'> {
  /** Runs kubectl as administrator (or with another kubeconfig) and returns its stdout. Throws if it fails. */
  readonly kubectl: (args: readonly string[], options?: { input?: string; kubeconfig?: string }) => Promise<string>;
  /** Like `kubectl`, but returns the exit code instead of throwing. */
  readonly tryKubectl: ControlPlane['kubectl'];
  /** Creates a new namespace with a generated name that begins with `prefix`. Returns the name. */
  namespace(prefix: string): Promise<string>;
  /**
   * Writes the files that kubelet mounts into a pod of a ServiceAccount. `server` is the URL of the API server for this pod, for
   * example of a proxy; by default that of the administrator.
   */
  serviceAccount(
    directory: string,
    options?: { server?: string | undefined; subject?: Subject },
  ): Promise<OperatorLogin>;
}

const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));

export interface TestClusterOptions extends Pick<ControlPlaneOptions, 'auditedGroups' | 'ipv6'> {
  /** Whether to install `deploy/`: CRDs, namespace, RBAC; true by default. Without a node, the Deployment gets no pods. */
  readonly manifests?: boolean;
}

/** Starts a control plane and installs `deploy/`. */
export async function startTestCluster({
  manifests = true,
  ...options
}: TestClusterOptions = {}): Promise<TestCluster> {
  const controlPlane = await startControlPlane(options);
  try {
    const cluster = withHelpers(controlPlane);
    if (manifests) await installManifests(cluster);
    return cluster;
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

/** Installs `deploy/` and waits for the CRDs. */
export async function installManifests({ kubectl }: Pick<TestCluster, 'kubectl'>): Promise<void> {
  await kubectl(['apply', '--server-side', '-k', DEPLOY]);
  await kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', '--all']);
}

export function withHelpers(controlPlane: ControlPlane): TestCluster {
  const kubectl: TestCluster['kubectl'] = async (args, options) => {
    const { code, stdout, stderr } = await controlPlane.kubectl(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} failed with exit code ${code}: ${stderr}`);
    return stdout;
  };
  // Not by kubectl: a process for each namespace and each token would be a tenth of the CPU time of all tests.
  async function create<T>(path: string, object: object): Promise<T> {
    const api = openApi(controlPlane);
    try {
      return await api.create<T>(path, object);
    } finally {
      await api.close();
    }
  }
  return {
    ...controlPlane,
    kubectl,
    tryKubectl: controlPlane.kubectl,
    async namespace(prefix) {
      const { metadata } = await create<Stored>(paths.namespaces(), { metadata: { generateName: `${prefix}-` } });
      return metadata.name;
    },
    async serviceAccount(directory, { server, subject: { namespace, name } = OPERATOR } = {}) {
      const path = `${paths.serviceAccounts(namespace, name)}/token`;
      const { status } = await create<{ status: { token: string } }>(path, { spec: { expirationSeconds: 86_400 } });
      const admin = readKubeconfig(controlPlane.kubeconfig);
      return writeServiceAccount(directory, { ca: admin.ca, server: server ?? admin.server, token: status.token });
    },
  };
}
