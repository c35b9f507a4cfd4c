import assert from 'node:assert/strict';
import { join } from 'node:path';

import { startOperatorProgram, waitForOperator } from '../../tools/operator.ts';
import type { Exit, LogLine, Program } from '../../tools/program.ts';
import type { TestCluster } from './cluster.ts';

export type { Exit, LogLine };

export interface OperatorOptions {
  /** Further arguments. The default authority is already requested. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The URL of the API server for the operator, for instance that of a proxy; the cluster's own by default. */
  readonly server?: string;
  /** Whether to wait for /readyz; true by default. A standby can be ready, too. */
  readonly waitUntilReady?: boolean;
  /** The file to run. Default: MTLS_OPERATOR_MAIN, which `npm test` sets to its build, otherwise the sources. */
  readonly main?: string;
}

/** A running operator with its own ServiceAccount and the shipped RBAC. */
export interface Operator {
  readonly pid: number;
  /** The base URL of /healthz, /readyz and /metrics. */
  readonly url: string;
  /** All log lines, parsed. A line that is not JSON becomes `{ message: line }`. */
  readonly logs: readonly LogLine[];
  readonly exited: Promise<Exit>;
  /** Sends SIGTERM and asserts that it exits with code 0. Does nothing if `kill` or `stop` already ended it. */
  stop(): Promise<void>;
  /** Sends SIGKILL and waits for the exit. */
  kill(): Promise<void>;
  /** The last log lines, for failure messages. */
  logTail(lines?: number): string;
}

let started = 0;

/** Starts the operator on the cluster as in a pod, and waits until it is ready. It ends with this process. */
export async function startOperator(cluster: TestCluster, options: OperatorOptions = {}): Promise<Operator> {
  const directory = join(cluster.dir, `operator-${process.pid}-${++started}`);
  const login = await cluster.serviceAccount(directory, { server: options.server });
  const program = startOperatorProgram(login, {
    args: options.args ?? [],
    env: { POD_NAME: `operator-${started}`, ...options.env },
    ...(options.main === undefined ? {} : { main: options.main }),
  });
  return operatorOf(program, options.waitUntilReady ?? true);
}

/** The operator in a program that was just started. */
export async function operatorOf(program: Program, waitUntilReady: boolean): Promise<Operator> {
  let isExpected = false;
  const watch = async (): Promise<void> => {
    const exit = await program.exited;
    // Say why: otherwise the tests of this file only time out, one after the other.
    if (!isExpected) console.error(`the operator exited unexpectedly: ${JSON.stringify(exit)}\n${program.tail(15)}`);
  };
  void watch();

  async function kill(): Promise<void> {
    isExpected = true;
    await program.kill();
  }

  async function stop(): Promise<void> {
    isExpected = true;
    if (program.hasEnded) return;
    const { code, signal } = await program.stop();
    const what = `the operator did not stop cleanly:\n${program.tail()}`;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, what);
  }

  const { pid, lines: logs, exited, tail: logTail } = program;
  try {
    const url = await waitForOperator(program, { untilReady: waitUntilReady });
    return { pid, url, logs, exited, stop, kill, logTail };
  } catch (error) {
    await kill();
    throw error;
  }
}
