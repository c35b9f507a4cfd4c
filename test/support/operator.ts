import assert from 'node:assert/strict';
import { join } from 'node:path';

import { startOperatorProgram, waitForOperator, writeServiceAccount } from '../../tools/operator.ts';
import type { Exit, LogLine } from '../../tools/program.ts';
import type { TestCluster } from './cluster.ts';

export type { Exit, LogLine };

export interface OperatorOptions {
  /** Further arguments; the default authority is asked for already. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The API server's URL as the operator sees it, for instance that of a proxy; the cluster's own by default. */
  readonly server?: string;
  /** Whether to wait for /readyz; true by default. A replica that does not lead may be ready as well. */
  readonly waitUntilReady?: boolean;
  /** The file to run; by default that of MTLS_OPERATOR_MAIN, which `npm test` sets to what it has built, else the sources. */
  readonly main?: string;
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

let started = 0;

/** Starts the operator on the cluster, as in a pod, and waits until it is ready. It ends with this process. */
export async function startOperator(cluster: TestCluster, options: OperatorOptions = {}): Promise<Operator> {
  const directory = join(cluster.dir, `operator-${process.pid}-${++started}`);
  const login = await writeServiceAccount(directory, (args) => cluster.kubectl(args), options.server);
  const program = startOperatorProgram(login, {
    args: options.args ?? [],
    env: { POD_NAME: `operator-${started}`, ...options.env },
    ...(options.main === undefined ? {} : { main: options.main }),
  });

  let isAsked = false;
  const watch = async (): Promise<void> => {
    const exit = await program.exited;
    // Or tests that have never heard of it time out one after the other.
    if (!isAsked) console.error(`the operator ended by itself: ${JSON.stringify(exit)}\n${program.tail(15)}`);
  };
  void watch();

  async function kill(): Promise<void> {
    isAsked = true;
    await program.kill();
  }

  async function stop(): Promise<void> {
    isAsked = true;
    if (program.hasEnded) return;
    const { code, signal } = await program.stop();
    const what = `the operator did not stop cleanly:\n${program.tail()}`;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, what);
  }

  const { pid, lines: logs, exited, tail: logTail } = program;
  try {
    const url = await waitForOperator(program, { untilReady: options.waitUntilReady ?? true });
    return { pid, url, logs, exited, stop, kill, logTail };
  } catch (error) {
    await kill();
    throw error;
  }
}
