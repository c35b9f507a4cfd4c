import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { pollUntil } from './controlplane/poll.ts';
import { type Program, startProgram } from './program.ts';

const SOURCE = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** The environment variable with the operator's default main file. */
export const MAIN_VARIABLE = 'MTLS_OPERATOR_MAIN';

/** The namespace and the ServiceAccount of the operator in `deploy/`. */
export const OPERATOR_NAMESPACE = 'mtls-operator';
export const OPERATOR_SERVICE_ACCOUNT = 'mtls-operator';

/** Runs kubectl as an administrator of the cluster and returns its standard output. Throws if it fails. */
export type Kubectl = (args: readonly string[]) => Promise<string>;

interface Kubeconfig {
  readonly clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
  readonly users: { user: object }[];
}

/** A ServiceAccount. */
export interface Subject {
  readonly namespace: string;
  readonly name: string;
}

/** The ServiceAccount of the operator in `deploy/`. */
export const OPERATOR: Subject = { namespace: OPERATOR_NAMESPACE, name: OPERATOR_SERVICE_ACCOUNT };

/** The arguments and environment with which the operator connects to the API server. */
export interface OperatorLogin {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Writes a kubeconfig whose only credential is a token of the operator's ServiceAccount, as a pod gets it from TokenRequest.
 * `server` is the URL of the API server for the operator, for example of a proxy; by default the administrator's.
 */
export async function writeOperatorKubeconfig(path: string, kubectl: Kubectl, server?: string): Promise<void> {
  const config = await adminKubeconfig(kubectl);
  const token = await createToken(OPERATOR, kubectl);
  for (const user of config.users) user.user = { token };
  for (const { cluster } of config.clusters) cluster.server = server ?? cluster.server;
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
}

/** Writes the files that kubelet mounts into the pod of a ServiceAccount. */
export function writeServiceAccount(
  directory: string,
  { server, ca, token }: { readonly server: string; readonly ca: string; readonly token: string },
): OperatorLogin {
  const { hostname, port } = new URL(server);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'token'), token, { mode: 0o600 });
  writeFileSync(join(directory, 'ca.crt'), ca);
  return {
    args: [`--service-account-directory=${directory}`],
    // kubelet writes an IPv6 address without brackets.
    env: { KUBERNETES_SERVICE_HOST: hostname.replace(/^\[(.*)\]$/, '$1'), KUBERNETES_SERVICE_PORT: port || '443' },
  };
}

async function createToken({ namespace, name }: Subject, kubectl: Kubectl): Promise<string> {
  return (await kubectl(['create', 'token', name, `--namespace=${namespace}`, '--duration=24h'])).trim();
}

const adminKubeconfig = async (kubectl: Kubectl): Promise<Kubeconfig> =>
  JSON.parse(await kubectl(['config', 'view', '--minify', '--flatten', '--raw', '--output=json'])) as Kubeconfig;

export interface OperatorProgramOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The main file, for example from `buildOperator`; by default the value of MTLS_OPERATOR_MAIN, otherwise the sources. */
  readonly main?: string;
}

/** Starts the operator on a free port of 127.0.0.1. It creates a default authority if none exists. */
export function startOperatorProgram(login: OperatorLogin, options: OperatorProgramOptions = {}): Program {
  const flags = ['--create-default-authority', '--listen-address=127.0.0.1:0'];
  return startConfiguredOperator(login, { ...options, args: [...flags, ...(options.args ?? [])] });
}

/** Starts the operator with these arguments only, for instance those of a Deployment. */
export function startConfiguredOperator(
  login: OperatorLogin,
  { args = [], env = {}, main = process.env[MAIN_VARIABLE] ?? SOURCE }: OperatorProgramOptions = {},
): Program {
  return startProgram(main, [...login.args, ...args], { POD_NAMESPACE: OPERATOR_NAMESPACE, ...login.env, ...env });
}

/** The URL of /healthz, /readyz and /metrics; undefined until the operator serves them. */
export function operatorUrl({ lines }: Program): string | undefined {
  const address = lines.find((line) => line['message'] === 'serving health and metrics')?.['address'];
  return typeof address === 'string' ? `http://${address}` : undefined;
}

/**
 * Waits until the operator serves and, with `untilReady`, until /readyz succeeds. Returns its URL. Throws with the end of the
 * log when the operator ends or two minutes pass.
 */
export async function waitForOperator(operator: Program, { untilReady = true } = {}): Promise<string> {
  let last = 'it does not serve /readyz';
  const isReady = async (): Promise<boolean> => {
    const url = operatorUrl(operator);
    if (url === undefined) return false;
    if (!untilReady) return true;
    const reply = await fetch(`${url}/readyz`);
    last = `/readyz returns ${reply.status}: ${await reply.text()}`;
    return reply.ok;
  };
  const ready = await pollUntil(async () => operator.hasEnded || (await isReady().catch(() => false)), 120_000);
  const url = operatorUrl(operator);
  if (ready && !operator.hasEnded && url !== undefined) return url;
  const why = operator.hasEnded ? 'it ended' : last;
  throw new Error(`the operator is not ready: ${why}; the end of its log:\n${operator.tail()}`);
}
