import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { pollUntil } from './controlplane/poll.ts';
import { type Program, startProgram } from './program.ts';

const SOURCE = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** The variable of the environment that says which file the operator is started from, where the caller does not. */
export const MAIN_VARIABLE = 'MTLS_OPERATOR_MAIN';

/** Where `deploy/` puts the operator, and as whom it runs. */
export const OPERATOR_NAMESPACE = 'mtls-operator';
export const OPERATOR_SERVICE_ACCOUNT = 'mtls-operator';

/** Runs kubectl as an administrator of the cluster and returns its standard output. Throws if it fails. */
export type Kubectl = (args: readonly string[]) => Promise<string>;

interface Kubeconfig {
  readonly clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
  readonly users: { user: object }[];
}

/** How the operator finds the API server and logs in. */
export interface OperatorLogin {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Writes a kubeconfig with nothing but a token of the operator's ServiceAccount, as TokenRequest gives it to a pod.
 * `server` is the API server's URL as the operator sees it, for instance that of a proxy; the administrator's by default.
 */
export async function writeOperatorKubeconfig(path: string, kubectl: Kubectl, server?: string): Promise<void> {
  const config = await adminKubeconfig(kubectl);
  const token = await operatorToken(kubectl);
  for (const user of config.users) user.user = { token };
  for (const { cluster } of config.clusters) cluster.server = server ?? cluster.server;
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
}

/** Writes the files that kubelet mounts into the operator's pod. Throws where a pod could not reach the API server. */
export async function writeServiceAccount(
  directory: string,
  kubectl: Kubectl,
  server?: string,
): Promise<OperatorLogin> {
  const [cluster] = (await adminKubeconfig(kubectl)).clusters.map((entry) => entry.cluster);
  const ca = cluster?.['certificate-authority-data'];
  if (cluster === undefined || ca === undefined) throw new Error('the kubeconfig has no certificate authority');
  const { hostname, port } = new URL(server ?? cluster.server);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'token'), await operatorToken(kubectl), { mode: 0o600 });
  writeFileSync(join(directory, 'ca.crt'), Buffer.from(ca, 'base64'));
  return {
    args: [`--service-account-directory=${directory}`],
    env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port || '443' },
  };
}

async function operatorToken(kubectl: Kubectl): Promise<string> {
  const subject = [OPERATOR_SERVICE_ACCOUNT, `--namespace=${OPERATOR_NAMESPACE}`];
  return (await kubectl(['create', 'token', ...subject, '--duration=24h'])).trim();
}

const adminKubeconfig = async (kubectl: Kubectl): Promise<Kubeconfig> =>
  JSON.parse(await kubectl(['config', 'view', '--minify', '--flatten', '--raw', '--output=json'])) as Kubeconfig;

export interface OperatorProgramOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The file to run, such as what `buildOperator` returns; by default that of MTLS_OPERATOR_MAIN, else the sources. */
  readonly main?: string;
}

/** Starts the operator on a free port of 127.0.0.1, with a default authority if there is none. */
export function startOperatorProgram(
  login: OperatorLogin,
  { args = [], env = {}, main = process.env[MAIN_VARIABLE] ?? SOURCE }: OperatorProgramOptions = {},
): Program {
  const flags = [...login.args, '--create-default-authority', '--listen-address=127.0.0.1:0'];
  return startProgram(main, [...flags, ...args], { POD_NAMESPACE: OPERATOR_NAMESPACE, ...login.env, ...env });
}

/** Where it serves /healthz, /readyz and /metrics, once it does. */
export function operatorUrl({ lines }: Program): string | undefined {
  const address = lines.find((line) => line['message'] === 'serving health and metrics')?.['address'];
  return typeof address === 'string' ? `http://${address}` : undefined;
}

/**
 * Waits until it serves and, with `untilReady`, until /readyz says yes; returns its URL. Throws, with the end of its log,
 * when it ends before that or takes two minutes.
 */
export async function waitForOperator(operator: Program, { untilReady = true } = {}): Promise<string> {
  let last = 'it does not serve';
  const isReady = async (): Promise<boolean> => {
    const url = operatorUrl(operator);
    if (url === undefined) return false;
    if (!untilReady) return true;
    const reply = await fetch(`${url}/readyz`);
    last = `/readyz says ${reply.status}: ${await reply.text()}`;
    return reply.ok;
  };
  const ready = await pollUntil(async () => operator.hasEnded || (await isReady().catch(() => false)), 120_000);
  const url = operatorUrl(operator);
  if (ready && !operator.hasEnded && url !== undefined) return url;
  const why = operator.hasEnded ? 'it ended' : last;
  throw new Error(`the operator is not ready: ${why}; the end of its log:\n${operator.tail()}`);
}
