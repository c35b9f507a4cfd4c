import { dirname } from 'node:path';

import type { ConnectionOptions } from '../../src/kube/index.ts';
import { type FindOptions, findBinaries } from '../controlplane/binaries.ts';
import { type CommandResult, output } from '../controlplane/command.ts';
import { startControlPlane } from '../controlplane/controlplane.ts';
import { type Footprint, inspectFootprint, SHOP } from './footprint.ts';
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
  /** What the demo creates in a user's cluster; undefined on a control plane of its own. */
  readonly footprint?: Footprint;
}

/** A cluster of the user's kubeconfig. */
export interface UserCluster extends DemoCluster {
  readonly footprint: Footprint;
  /** Ends the commands of the demo, and removes what it has created. */
  readonly remove: () => Promise<void>;
  /** The commands that the user has to run if \`remove\` does not end. */
  readonly remaining: () => string[];
}

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
export async function inspectCluster(context: string, screen: Screen): Promise<UserCluster> {
  const program = await findKubectl(screen);
  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const all = [`--context=${context}`, ...args];
    return succeeded(all, await output(program, all, { env: process.env, ...(input === undefined ? {} : { input }) }));
  };
  const operator = await findOperator(kubectl);
  // Commands of the demo, which must not run while the cluster is cleaned up.
  const running = new Set<Promise<string>>();
  let isOver = false;
  const demoKubectl = async (args: readonly string[], input?: string): Promise<string> => {
    if (isOver) throw new Error('the demo has been interrupted');
    const command = kubectl(args, input);
    running.add(command);
    try {
      return await command;
    } finally {
      running.delete(command);
    }
  };
  // Asks twice, because commands of the demo must end before those of the removal begin.
  const footprint = await inspectFootprint((args, input) => (isOver ? kubectl : demoKubectl)(args, input), operator);
  const prefix = `kubectl --context ${context}`;
  return {
    connection: { context },
    shellSetup: [],
    kubectlPrefix: prefix,
    isOwn: false,
    hasOperator: operator !== undefined,
    kubectl: demoKubectl,
    footprint,
    async remove() {
      isOver = true;
      await Promise.allSettled(running);
      await footprint.remove();
    },
    remaining: () => footprint.remaining().map((args) => [prefix, ...args].join(' ')),
  };
}

/** The namespace of an operator of the user that is available. Throws when the user's operator is not available. */
async function findOperator(kubectl: (args: readonly string[]) => Promise<string>): Promise<string | undefined> {
  const labels = 'app.kubernetes.io/name=mtls-operator,app.kubernetes.io/component=operator';
  const found = await kubectl(['get', 'deployments', '--all-namespaces', `--selector=${labels}`, '--output=json']);
  const { items } = JSON.parse(found) as {
    items: { metadata: { namespace: string; name: string }; status?: { availableReplicas?: number } }[];
  };
  const [first] = items;
  if (first === undefined) return undefined;
  const available = items.find(({ status }) => (status?.availableReplicas ?? 0) > 0);
  if (available !== undefined) return available.metadata.namespace;
  const { namespace, name } = first.metadata;
  throw new Error(
    `the operator of the Deployment ${namespace}/${name} is not available, and the demo does not run another one: start it or use another cluster`,
  );
}

/** The changes that the demo will make to the user's cluster, for the user to confirm. */
export function intentions({ hasOperator }: DemoCluster): string[] {
  const install = [
    'install the CRDs, the namespace mtls-operator and the RBAC of deploy/, but not the Deployment',
    'run the operator on this machine, with a token of its ServiceAccount, until the demo ends',
    '  (it creates the MtlsAuthority "default" and its root)',
  ];
  const example = [`create the namespace "${SHOP}" with two MtlsCertificates, and the MtlsAuthority "demo-other"`];
  const end = ['remove all of it when it ends, also after Ctrl-C; objects that exist now stay as they are'];
  return [...(hasOperator ? ['use the operator that already runs in the cluster'] : install), ...example, ...end];
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
