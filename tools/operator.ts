import { writeFileSync } from 'node:fs';
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
  readonly clusters: { cluster: { server: string } }[];
  readonly users: { user: object }[];
}

/**
 * Writes a kubeconfig with nothing but a token of the operator's ServiceAccount, as TokenRequest gives it to a pod.
 * `server` is the API server's URL as the operator sees it, for instance that of a proxy; the administrator's by default.
 */
export async function writeOperatorKubeconfig(path: string, kubectl: Kubectl, server?: string): Promise<void> {
  const subject = [OPERATOR_SERVICE_ACCOUNT, `--namespace=${OPERATOR_NAMESPACE}`];
  const token = await kubectl(['create', 'token', ...subject, '--duration=24h']);
  const config = JSON.parse(
    await kubectl(['config', 'view', '--minify', '--flatten', '--raw', '--output=json']),
  ) as Kubeconfig;
  for (const user of config.users) user.user = { token: token.trim() };
  for (const { cluster } of config.clusters) cluster.server = server ?? cluster.server;
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
}

export interface OperatorProgramOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The file to run, such as what `buildOperator` returns; by default that of MTLS_OPERATOR_MAIN, else the sources. */
  readonly main?: string;
}

/** Starts the operator on a free port of 127.0.0.1, with a default authority if there is none. */
export function startOperatorProgram(
  kubeconfig: string,
  { args = [], env = {}, main = process.env[MAIN_VARIABLE] ?? SOURCE }: OperatorProgramOptions = {},
): Program {
  const flags = [`--kubeconfig=${kubeconfig}`, '--create-default-authority', '--listen-address=127.0.0.1:0'];
  return startProgram(main, [...flags, ...args], { POD_NAMESPACE: OPERATOR_NAMESPACE, ...env });
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
