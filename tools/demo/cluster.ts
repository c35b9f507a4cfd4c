import { dirname } from 'node:path';

import type { ConnectionOptions } from '../../src/kube/index.ts';
import { findBinaries } from '../controlplane/binaries.ts';
import { type CommandResult, output } from '../controlplane/command.ts';
import { startControlPlane } from '../controlplane/controlplane.ts';
import { OPERATOR_NAMESPACE } from '../operator.ts';
import type { Screen } from './screen.ts';

/** The cluster on which the demo takes place. */
export interface DemoCluster {
  /** How to reach it as an administrator. */
  readonly connection: ConnectionOptions;
  /** What a person types in a shell of their own before they can type `kubectlPrefix` and arguments. */
  readonly shellSetup: readonly string[];
  readonly kubectlPrefix: string;
  /** It was made for the demo, and goes with it. */
  readonly isOwn: boolean;
  /** It runs an operator already, and is not to get another one. */
  readonly hasOperator: boolean;
  /** Runs kubectl as administrator and returns its standard output. Throws if it fails. */
  readonly kubectl: (args: readonly string[]) => Promise<string>;
}

/** The namespace of deploy/examples/payments.yaml. */
export const SHOP = 'shop';

/** Starts a control plane of the demo's own; it is gone with all its data at the latest when this process ends. */
export async function startOwnCluster(screen: Screen, cleanup: AsyncDisposableStack): Promise<DemoCluster> {
  const binaries = await findBinaries((line) => screen.note(line));
  const controlPlane = await screen.during('the control plane starts', startControlPlane({ binaries }));
  cleanup.defer(() => screen.during('the control plane stops', controlPlane.stop()));
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

/** Looks at a cluster of the user's kubeconfig. Throws when the demo cannot take place there; changes nothing. */
export async function lookAtCluster(context: string, screen: Screen): Promise<DemoCluster> {
  const program = await findKubectl(screen);
  const kubectl = async (args: readonly string[]): Promise<string> => {
    const all = [`--context=${context}`, ...args];
    return succeeded(all, await output(program, all, { env: process.env }));
  };
  const exists = async (...object: string[]): Promise<string> =>
    kubectl(['get', ...object, '--ignore-not-found', '--output=json']);
  if ((await exists('namespace', SHOP)) !== '') {
    throw new Error(
      `the cluster has a namespace "${SHOP}", which the demo would use; remove it or choose another cluster`,
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

/** What the demo is about to do to a cluster that is not its own, for a person to agree to. */
export function intentions({ hasOperator }: DemoCluster): string[] {
  const install = [
    'install the CRDs, the namespace mtls-operator and the RBAC of deploy/, but not the Deployment;',
    'they stay when the demo ends (kubectl delete -k deploy removes them, with every certificate)',
    'run the operator on this machine, by a token of its ServiceAccount, until the demo ends;',
    'it makes the MtlsAuthority "default" with a root of its own, if there is no MtlsAuthority at all',
  ];
  const example = [
    `create the namespace "${SHOP}" with two MtlsCertificates, and the MtlsAuthority "demo-other";`,
    'these are removed when the demo ends',
  ];
  return hasOperator ? ['use the operator that runs there', ...example] : [...install, ...example];
}

/** Removes what the story has made on a cluster that is not the demo's own, in the order in which nothing is remade. */
export async function removeExamples({ kubectl }: DemoCluster): Promise<void> {
  await kubectl(['delete', 'namespace', SHOP, '--ignore-not-found', '--timeout=120s']);
  await kubectl(['delete', 'mtlsauthority', 'demo-other', '--ignore-not-found']);
  await kubectl(['delete', 'secret', 'demo-other-root', `--namespace=${OPERATOR_NAMESPACE}`, '--ignore-not-found']);
}

/** The user's own kubectl, which knows how to log in to the user's cluster; else the built-in one. */
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
