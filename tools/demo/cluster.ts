import { dirname } from 'node:path';

import type { ConnectionOptions } from '../../src/kube/index.ts';
import { type FindOptions, findBinaries } from '../controlplane/binaries.ts';
import { type CommandResult, output } from '../controlplane/command.ts';
import { startControlPlane } from '../controlplane/controlplane.ts';
import { OPERATOR_NAMESPACE } from '../operator.ts';
import type { Screen } from './screen.ts';

/** The cluster that the demo uses. */
export interface DemoCluster {
  /** Connects as an administrator. */
  readonly connection: ConnectionOptions;
  /** Commands that prepare the user's shell for `kubectlPrefix`. */
  readonly shellSetup: readonly string[];
  readonly kubectlPrefix: string;
  /** True for a control plane that the demo has started and will remove. */
  readonly isOwn: boolean;
  /** True when the cluster already runs an operator: the demo then uses it and starts none. */
  readonly hasOperator: boolean;
  /** Runs kubectl as administrator and returns its standard output. Throws if it fails. */
  readonly kubectl: (args: readonly string[]) => Promise<string>;
}

/** The namespace of deploy/examples/payments.yaml. */
export const SHOP = 'shop';

/** Starts a control plane for the demo. It is removed with its data at the latest when this process ends. */
export async function startOwnCluster(
  screen: Screen,
  cleanup: AsyncDisposableStack,
  options: FindOptions,
): Promise<DemoCluster> {
  const binaries = await findBinaries((line) => screen.note(line), options);
  const controlPlane = await screen.during('starting the control plane', startControlPlane({ binaries }));
  cleanup.defer(() => screen.during('stopping the control plane', controlPlane.stop()));
  const { kubeconfig } = controlPlane;
  return {
    connection: { kubeconfig },
    shellSetup: [`export KUBECONFIG='${kubeconfig}'`, `export PATH='${dirname(binaries.kubectl)}':"$PATH"`],
    kubectlPrefix: 'kubectl',
    isOwn: true,
    hasOperator: false,
    kubectl: async (args) => succeeded(args, await controlPlane.kubectl(args)),
  };
}

/** Checks a cluster of the user's kubeconfig without changing it. Throws when the demo cannot use it. */
export async function inspectCluster(context: string, screen: Screen): Promise<DemoCluster> {
  const program = await findKubectl(screen);
  const kubectl = async (args: readonly string[]): Promise<string> => {
    const all = [`--context=${context}`, ...args];
    return succeeded(all, await output(program, all, { env: process.env }));
  };
  const exists = async (...object: string[]): Promise<string> =>
    kubectl(['get', ...object, '--ignore-not-found', '--output=json']);
  if ((await exists('namespace', SHOP)) !== '') {
    throw new Error(
      `the cluster already has a namespace "${SHOP}", which the demo needs: delete it or use another cluster`,
    );
  }
  const deployment = await exists('deployment', 'mtls-operator', `--namespace=${OPERATOR_NAMESPACE}`);
  const { status } = JSON.parse(deployment || '{}') as { status?: { availableReplicas?: number } };
  return {
    connection: { context },
    shellSetup: [],
    kubectlPrefix: `kubectl --context ${context}`,
    isOwn: false,
    hasOperator: (status?.availableReplicas ?? 0) > 0,
    kubectl,
  };
}

/** The changes that the demo will make to the user's cluster, for the user to confirm. */
export function intentions({ hasOperator }: DemoCluster): string[] {
  const install = [
    'install the CRDs, the namespace mtls-operator and the RBAC of deploy/, but not the Deployment',
    '  (they stay installed; "kubectl delete -k deploy" removes them and every certificate)',
    'run the operator on this machine, with a token of its ServiceAccount, until the demo ends',
    '  (it creates the MtlsAuthority "default" and its root if the cluster has no MtlsAuthority)',
  ];
  const example = [
    `create the namespace "${SHOP}" with two MtlsCertificates, and the MtlsAuthority "demo-other"`,
    '  (the demo removes them when it ends)',
  ];
  return hasOperator ? ['use the operator that already runs in the cluster', ...example] : [...install, ...example];
}

/** Removes the examples from the user's cluster. In this order, the operator does not create any of them again. */
export async function removeExamples({ kubectl }: DemoCluster): Promise<void> {
  await kubectl(['delete', 'namespace', SHOP, '--ignore-not-found', '--timeout=120s']);
  await kubectl(['delete', 'mtlsauthority', 'demo-other', '--ignore-not-found']);
  await kubectl(['delete', 'secret', 'demo-other-root', `--namespace=${OPERATOR_NAMESPACE}`, '--ignore-not-found']);
}

/** The user's kubectl, which may need plugins to log in to the cluster; otherwise the built-in one. */
async function findKubectl(screen: Screen): Promise<string> {
  try {
    await output('kubectl', ['version', '--client']);
    return 'kubectl';
  } catch {
    return (await findBinaries((line) => screen.note(line))).kubectl;
  }
}

function succeeded(args: readonly string[], { code, stdout, stderr }: CommandResult): string {
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')} failed: ${stderr.trim()}`);
  return stdout;
}
