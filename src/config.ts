import { isIPv4, isIPv6 } from 'node:net';
import { availableParallelism, hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { managerName } from './api/constants.ts';
import { defaultLeaseTiming, type LeaseTiming, leaseTimingProblem } from './kube/index.ts';
import { clientName, parseDurationMs } from './plan/index.ts';
import { type LogLevel, logLevels } from './telemetry/logger.ts';
import type { ListenAddress } from './telemetry/server.ts';

/** The settings of the operator, checked and unchangeable. */
export interface Config extends LeaseTiming {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly serviceAccountDirectory?: string;
  readonly namespace: string;
  /** Name of this replica in the Lease and in events. */
  readonly identity: string;
  readonly createDefaultAuthority: boolean;
  readonly listen: ListenAddress & { /** Somebody asked for this very address. */ readonly isExplicit: boolean };
  /** Where and to whom metrics are served over TLS; absent: next to health, to everyone. */
  readonly metrics?: {
    readonly listen: ListenAddress;
    /** The folder of tls.crt, tls.key and ca.crt. */
    readonly tlsDirectory: string;
    /** In the form of clientName. */
    readonly clients: readonly string[];
  };
  readonly logLevel: LogLevel;
  readonly workers: number;
  /** RSA keys in the making at a time. */
  readonly rsaKeyWorkers: number;
}

/** A setting that cannot be used; the message names it and says what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export const usage = `Usage: mtls-operator [options]

  --kubeconfig FILE            kubeconfig to use; without it KUBECONFIG, then the Pod's ServiceAccount, then ~/.kube/config
  --context NAME               context of the kubeconfig
  --service-account-directory DIR
                               use the Pod's ServiceAccount, whose token and ca.crt are mounted here
  --namespace NAME             the operator's namespace, where root Secrets are (POD_NAMESPACE, default ${managerName})
  --create-default-authority   make the MtlsAuthority "default" in a cluster that has no MtlsAuthority
  --listen-address HOST:PORT   where /healthz, /readyz and /metrics are served; no HOST: everywhere; port 0: any free one (default 127.0.0.1:8080)
  --metrics-listen-address HOST:PORT
                               serves /metrics here, over TLS, and no longer at --listen-address; needs the next two
  --metrics-tls-directory DIR  the folder of tls.crt, tls.key and ca.crt; changed files are used without a restart
  --metrics-client NAME        a client that may read the metrics, by a SPIFFE ID or DNS name of its certificate; repeatable
  --log-level LEVEL            ${logLevels.join(', ')} (default info)
  --workers N                  certificates in work at a time, 1 to 1000 (default 32)
  --lease-duration DURATION    after which a silent leader is replaced, in whole seconds, at most 24h (default 15s)
  --renew-deadline DURATION    after which a leader that cannot renew gives up (default 10s)
  --retry-period DURATION      between attempts to get or renew the Lease; 1.2 times it is below the renew deadline (default 2s)
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
  const serviceAccountDirectory = values['service-account-directory'];
  return Object.freeze({
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: filled('kubeconfig', values.kubeconfig) }),
    ...(values.context === undefined ? {} : { context: filled('context', values.context) }),
    ...(serviceAccountDirectory === undefined
      ? {}
      : { serviceAccountDirectory: filled('service-account-directory', serviceAccountDirectory) }),
    namespace: namespaceOf(values.namespace, env['POD_NAMESPACE']),
    // Two replicas on one host must not share a name, or each would take the other's Lease for its own.
    identity: env['POD_NAME'] || `${hostname()}-${process.pid}-${Date.now().toString(36)}`,
    createDefaultAuthority: values['create-default-authority'] ?? false,
    listen: {
      ...listenAddress('listen-address', values['listen-address'] ?? '127.0.0.1:8080'),
      isExplicit: values['listen-address'] !== undefined,
    },
    ...metricsOf(values),
    logLevel: logLevel(values['log-level'] ?? 'info'),
    workers: count('workers', values.workers ?? '32'),
    rsaKeyWorkers: rsaKeyWorkers(env['UV_THREADPOOL_SIZE']),
    ...leaseTiming(values),
  });
}

/** As many as there are cores, but no more than half of libuv's threads: name look-ups and files need the others. */
function rsaKeyWorkers(threadPoolSize: string | undefined): number {
  // As libuv reads it: without a number at its beginning, it is one thread.
  const threads = threadPoolSize === undefined ? 4 : Number.parseInt(threadPoolSize, 10) || 1;
  return Math.max(1, Math.min(availableParallelism(), Math.floor(threads / 2)));
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        kubeconfig: { type: 'string' },
        context: { type: 'string' },
        'service-account-directory': { type: 'string' },
        namespace: { type: 'string' },
        'create-default-authority': { type: 'boolean' },
        'listen-address': { type: 'string' },
        'metrics-listen-address': { type: 'string' },
        'metrics-tls-directory': { type: 'string' },
        'metrics-client': { type: 'string', multiple: true },
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

const timingFlags = {
  leaseDurationMs: '--lease-duration',
  renewDeadlineMs: '--renew-deadline',
  retryPeriodMs: '--retry-period',
} as const satisfies Record<keyof LeaseTiming, string>;

function leaseTiming(values: ReturnType<typeof parse>): LeaseTiming {
  const timing = {
    leaseDurationMs: durationOf('lease-duration', values['lease-duration']) ?? defaultLeaseTiming.leaseDurationMs,
    renewDeadlineMs: durationOf('renew-deadline', values['renew-deadline']) ?? defaultLeaseTiming.renewDeadlineMs,
    retryPeriodMs: durationOf('retry-period', values['retry-period']) ?? defaultLeaseTiming.retryPeriodMs,
  };
  const problem = leaseTimingProblem(timing, timingFlags);
  if (problem !== undefined) throw new ConfigError(problem);
  return timing;
}

function durationOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined || ms === 0)
    throw new ConfigError(`--${name}: ${JSON.stringify(text)} is not a duration like 15s`);
  return ms;
}

/** A variable in a manifest that is not set leaves a flag with an empty value. */
function filled(name: string, text: string): string {
  if (text === '') throw new ConfigError(`--${name}: the value is empty; give one, or leave the flag out`);
  return text;
}

/** All three flags or none: every tenant can get a certificate of the same root, so that names have to be given. */
function metricsOf(values: ReturnType<typeof parse>): Pick<Config, 'metrics'> {
  const {
    'metrics-listen-address': address,
    'metrics-tls-directory': directory,
    'metrics-client': names = [],
  } = values;
  if (address === undefined && directory === undefined && names.length === 0) return {};
  if (address === undefined || directory === undefined || names.length === 0)
    throw new ConfigError(
      '--metrics-listen-address, --metrics-tls-directory and --metrics-client are used together: add those that are missing',
    );
  return {
    metrics: {
      listen: listenAddress('metrics-listen-address', address),
      tlsDirectory: filled('metrics-tls-directory', directory),
      clients: names.map(metricsClient),
    },
  };
}

function metricsClient(text: string): string {
  const name = clientName(text);
  if (name !== undefined) return name;
  throw new ConfigError(
    `--metrics-client: ${JSON.stringify(text)} is not a SPIFFE ID or DNS name, such as spiffe://cluster.local/ns/monitoring/sa/prometheus`,
  );
}

function listenAddress(flag: string, text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2] ?? '';
  const isHost = match?.[1] === undefined ? host === '' || isHostname(host) : isIPv6(host);
  if (match === null || port > 65_535 || !isHost)
    throw new ConfigError(`--${flag}: ${JSON.stringify(text)} is not HOST:PORT, such as 0.0.0.0:8080 or :8080`);
  return host === '' ? { port } : { host, port };
}

/** A name, or an IPv4 address: of an all-numeric host only an address can be looked up. */
const isHostname = (host: string): boolean =>
  /^[\d.]+$/.test(host) ? isIPv4(host) : host.length <= 253 && /^([a-z\d_]([-a-z\d_]{0,61}[a-z\d_])?\.?)+$/i.test(host);

/** The flag, the variable, or the default. */
function namespaceOf(flag: string | undefined, variable: string | undefined): string {
  const text = flag ?? (variable || managerName);
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  // An empty namespace would be all of them.
  const source = flag === undefined ? 'POD_NAMESPACE' : '--namespace';
  throw new ConfigError(`${source}: ${JSON.stringify(text)} is not the name of a namespace, such as ${managerName}`);
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
