import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { guardProcess } from '../../tools/controlplane/guard.ts';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';

/** One line of the operator's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface OperatorOptions {
  /** Further arguments; the default authority is asked for already. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The API server's URL as the operator sees it, for instance that of a proxy; the cluster's own by default. */
  readonly server?: string;
  /** Whether to wait for /readyz; true by default. A replica that does not lead may be ready as well. */
  readonly waitUntilReady?: boolean;
}

/** A running operator, as its own ServiceAccount with the RBAC that is shipped. */
export interface Operator {
  readonly pid: number;
  /** Where it serves /healthz, /readyz and /metrics. */
  readonly url: string;
  /** All lines so far, parsed; a line that is no JSON is `{ message: line }`. */
  readonly logs: readonly LogLine[];
  readonly exited: Promise<Exit>;
  /** SIGTERM; asserts that it ends with exit code 0. Does nothing if it has ended already by `kill` or `stop`. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  /** The end of the log as text, to be shown when a test fails. */
  logTail(lines?: number): string;
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const NAMESPACE = 'mtls-operator';
const SERVICE_ACCOUNT = 'mtls-operator';

let started = 0;

/** Starts the operator from its sources on the cluster and waits until it is ready. It ends with this process. */
export async function startOperator(cluster: TestCluster, options: OperatorOptions = {}): Promise<Operator> {
  const kubeconfig = await writeServiceAccountKubeconfig(
    cluster,
    `operator-${process.pid}-${++started}`,
    options.server,
  );
  const child = spawn(
    process.execPath,
    [
      MAIN,
      `--kubeconfig=${kubeconfig}`,
      '--create-default-authority',
      '--listen-address=127.0.0.1:0',
      ...(options.args ?? []),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, POD_NAME: `operator-${started}`, POD_NAMESPACE: NAMESPACE, ...options.env },
    },
  );
  guardProcess(child);

  const logs: LogLine[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => logs.push(parseLogLine(line)));
  }
  let ended = false;
  const exited = new Promise<Exit>((resolve) => {
    // "close" comes after the last line of the log.
    child.on('close', (code, signal) => {
      ended = true;
      resolve({ code, signal });
    });
  });

  const logTail = (lines = 30): string =>
    logs
      .slice(-lines)
      .map((line) => JSON.stringify(line))
      .join('\n');

  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    await exited;
  }

  async function stop(): Promise<void> {
    if (ended) return;
    child.kill('SIGTERM');
    const { code, signal } = await exited;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the operator did not stop cleanly:\n${logTail()}`);
  }

  async function ready(): Promise<string> {
    let url: string | undefined;
    await eventually(
      async () => {
        if (ended) return;
        const address = logs.find((line) => line['message'] === 'serving health and metrics')?.['address'];
        assert.equal(typeof address, 'string', 'it does not serve yet');
        url = `http://${String(address)}`;
        if (options.waitUntilReady === false) return;
        const reply = await fetch(`${url}/readyz`);
        assert.equal(reply.status, 200, `/readyz says ${reply.status}: ${await reply.text()}`);
      },
      { timeoutMs: 120_000, message: 'the operator is not ready' },
    );
    assert.ok(url !== undefined && !ended, 'the operator ended before it was ready');
    return url;
  }

  try {
    return { pid: child.pid ?? 0, url: await ready(), logs, exited, stop, kill, logTail };
  } catch (error) {
    await kill();
    throw new Error(`${(error as Error).message}; the end of its log:\n${logTail()}`, { cause: error });
  }
}

/** A kubeconfig with nothing but a token of the operator's ServiceAccount, as TokenRequest gives it to a pod. */
async function writeServiceAccountKubeconfig(cluster: TestCluster, name: string, server?: string): Promise<string> {
  const token = await cluster.kubectl([
    'create',
    'token',
    SERVICE_ACCOUNT,
    `--namespace=${NAMESPACE}`,
    '--duration=24h',
  ]);
  const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8')) as {
    clusters: { cluster: { server: string } }[];
    users: { user: { token: string } }[];
  };
  config.users[0]!.user = { token: token.trim() };
  if (server !== undefined) config.clusters[0]!.cluster.server = server;
  const path = join(cluster.dir, `${name}.kubeconfig`);
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

function parseLogLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { message: line };
  }
}
