import { fileURLToPath } from 'node:url';

import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../../tools/controlplane/controlplane.ts';

/** A control plane for one test file, with `deploy/` installed unless the test installs the operator itself. */
export interface TestCluster extends Omit<ControlPlane, 'kubectl'> {
  /** Runs kubectl as administrator (or with another kubeconfig) and returns its stdout. Throws if it fails. */
  readonly kubectl: (args: readonly string[], options?: { input?: string; kubeconfig?: string }) => Promise<string>;
  /** Like `kubectl`, but returns the exit code instead of throwing. */
  readonly tryKubectl: ControlPlane['kubectl'];
  /** Creates a new namespace with a generated name that begins with `prefix`. Returns the name. */
  namespace(prefix: string): Promise<string>;
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
  return {
    ...controlPlane,
    kubectl,
    tryKubectl: controlPlane.kubectl,
    async namespace(prefix) {
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: `${prefix}-` } });
      const created = await kubectl(['create', '-f', '-', '-o', 'name'], { input });
      return created.trim().replace(/^namespace\//, '');
    },
  };
}
