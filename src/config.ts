import { availableParallelism, hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { managerName } from './api/names.ts';
import { parseDurationMs } from './plan/duration.ts';
import { type LogLevel, logLevels } from './telemetry/logger.ts';
import type { ListenAddress } from './telemetry/server.ts';

/** The settings of the operator, checked and unchangeable. */
export interface Config {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
  /** Name of this replica in the Lease and in events. */
  readonly identity: string;
  readonly createDefaultAuthority: boolean;
  readonly listen: ListenAddress & { /** Somebody asked for this very address. */ readonly isExplicit: boolean };
  readonly logLevel: LogLevel;
  readonly workers: number;
  /** RSA keys in the making at a time. */
  readonly keysInWork: number;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

/** A setting that cannot be used; the message names it and says what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export const usage = `Usage: mtls-operator [options]

  --kubeconfig FILE            kubeconfig to use; without it the Pod's ServiceAccount, then KUBECONFIG, then ~/.kube/config
  --context NAME               context of the kubeconfig
  --namespace NAME             the operator's namespace, where root Secrets are (POD_NAMESPACE, default ${managerName})
  --create-default-authority   make the MtlsAuthority "default" in a cluster that has no MtlsAuthority
  --listen-address HOST:PORT   where /healthz, /readyz and /metrics are served; no HOST: everywhere (default 127.0.0.1:8080)
  --log-level LEVEL            ${logLevels.join(', ')} (default info)
  --workers N                  certificates in work at a time (default 32)
  --lease-duration DURATION    after which a silent leader is replaced (default 15s)
  --renew-deadline DURATION    after which a leader that cannot renew gives up (default 10s)
  --retry-period DURATION      between attempts to get or renew the Lease (default 2s)
  --help                       this text
`;

/**
 * The configuration from command line and environment.
 * @throws ConfigError
 */
export function readConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Config | 'help' {
  const values = parse(argv);
  if (values.help === true) return 'help';
  const [leaseDurationMs, renewDeadlineMs, retryPeriodMs] = [
    duration('lease-duration', values['lease-duration'] ?? '15s'),
    duration('renew-deadline', values['renew-deadline'] ?? '10s'),
    duration('retry-period', values['retry-period'] ?? '2s'),
  ] as const;
  if (!(retryPeriodMs < renewDeadlineMs && renewDeadlineMs < leaseDurationMs)) {
    throw new ConfigError(
      '--retry-period must be shorter than --renew-deadline, and that shorter than --lease-duration',
    );
  }
  return Object.freeze({
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    ...(values.context === undefined ? {} : { context: values.context }),
    namespace: namespaceName(values.namespace ?? (env['POD_NAMESPACE'] || managerName)),
    // Two replicas on one host must not share a name, or each would take the other's Lease for its own.
    identity: env['POD_NAME'] || `${hostname()}-${process.pid}-${Date.now().toString(36)}`,
    createDefaultAuthority: values['create-default-authority'] ?? false,
    listen: {
      ...listenAddress(values['listen-address'] ?? '127.0.0.1:8080'),
      isExplicit: values['listen-address'] !== undefined,
    },
    logLevel: logLevel(values['log-level'] ?? 'info'),
    workers: count('workers', values.workers ?? '32'),
    keysInWork: keysInWork(env['UV_THREADPOOL_SIZE']),
    leaseDurationMs,
    renewDeadlineMs,
    retryPeriodMs,
  });
}

/** As many as there are cores, but no more than half of libuv's threads: name look-ups and files need the others. */
function keysInWork(threadPoolSize: string | undefined): number {
  const threads = Number(threadPoolSize) || 4;
  return Math.max(1, Math.min(availableParallelism(), Math.floor(threads / 2)));
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        kubeconfig: { type: 'string' },
        context: { type: 'string' },
        namespace: { type: 'string' },
        'create-default-authority': { type: 'boolean' },
        'listen-address': { type: 'string' },
        'log-level': { type: 'string' },
        workers: { type: 'string' },
        'lease-duration': { type: 'string' },
        'renew-deadline': { type: 'string' },
        'retry-period': { type: 'string' },
        help: { type: 'boolean' },
      },
      allowNegative: true,
    }).values;
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

function duration(name: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined || ms === 0)
    throw new ConfigError(`--${name}: ${JSON.stringify(text)} is not a duration like 15s`);
  return ms;
}

function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new ConfigError(`--listen-address: ${JSON.stringify(text)} is not HOST:PORT`);
  const host = match[1] ?? match[2] ?? '';
  return host === '' ? { port } : { host, port };
}

/** A namespace that is empty would be all of them. */
function namespaceName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) {
    throw new ConfigError(`--namespace: ${JSON.stringify(text)} is not the name of a namespace`);
  }
  return text;
}

function logLevel(text: string): LogLevel {
  const level = logLevels.find((name) => name === text);
  if (level === undefined) throw new ConfigError(`--log-level: use one of ${logLevels.join(', ')}`);
  return level;
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new ConfigError(`--${name}: use a number from 1 to 1000`);
  return value;
}
