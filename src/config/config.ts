import { availableParallelism, hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { defaultAuthorityName, managerName } from '../api/constants.ts';
import type { AuthorityManifest } from '../api/manifest.ts';
import { defaultLeaseTiming, type LeaseTiming, leaseTimingProblem } from '../kube/index.ts';
import { clientName, parseDurationMs } from '../plan/index.ts';
import { type LogFormat, type LogLevel, logFormats, logLevels } from '../telemetry/logger.ts';
import type { ListenAddress } from '../telemetry/server.ts';
import { readAuthoritiesFile } from './authorities-file.ts';
import { ConfigError, checkArguments } from './command-line.ts';
import { overlap, parseListenAddress } from './listen-flags.ts';

export { ConfigError } from './command-line.ts';

/** The validated, frozen settings of the operator. */
export interface Config extends LeaseTiming {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly serviceAccountDirectory?: string;
  readonly namespace: string;
  /** The namespaces to watch besides `namespace`. Absent: all namespaces. */
  readonly watchNamespaces?: readonly string[];
  /** Whether the operator injects roots into webhook configurations, APIServices and CustomResourceDefinitions. */
  readonly injectCa: boolean;
  /** Whether the operator answers PodCertificateRequests for authorities with spec.podCertificates. */
  readonly podCertificates: boolean;
  /** Whether the operator watches pods, for authorities with spec.rotation.podEvidence. */
  readonly podEvidence: boolean;
  /** Whether the operator may restart workloads, for authorities with spec.rotation.restartWorkloads. Only with podEvidence. */
  readonly restartWorkloads: boolean;
  /** The name of this replica in the Lease and in events. */
  readonly identity: string;
  readonly createDefaultAuthority: boolean;
  /** The content of --authorities-file. */
  readonly initialAuthorities: readonly AuthorityManifest[];
  readonly listen: ListenAddress & {
    /** True when a flag sets the address. Only a default port that is in use is replaced by a free one. */ readonly isExplicit: boolean;
  };
  /** The TLS server for metrics. Without it, `listen` serves the metrics to every client. */
  readonly metrics?: {
    readonly listen: ListenAddress;
    /** The folder with tls.crt, tls.key and ca.crt. */
    readonly tlsDirectory: string;
    /** Names as clientName returns them. */
    readonly clients: readonly string[];
    /** Whether clients may send a bearer token, which the API server checks. */
    readonly authorization: boolean;
  };
  /** The Service of the metrics server. If set, the operator creates an MtlsCertificate for it. */
  readonly metricsService?: { readonly name: string; readonly authority: string };
  /** Whether each certificate has series of its own in the metrics. */
  readonly metricsPerCertificate: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly workers: number;
  /** How many RSA keys are generated at the same time. */
  readonly rsaKeyWorkers: number;
}

export const usage = `Usage: mtls-operator [options]

  --kubeconfig FILE            the kubeconfig (default the file in KUBECONFIG, then the ServiceAccount of the pod,
                               then ~/.kube/config)
  --context NAME               the context of the kubeconfig (default its current context)
  --service-account-directory DIR
                               connect with the ServiceAccount whose token and ca.crt are in this folder
  --namespace NAME             the operator's namespace, which holds the root Secrets (default POD_NAMESPACE, then ${managerName})
  --watch-namespaces NAMES     watch only these namespaces, separated by commas, and the operator's own: it then needs no
                               rights in others (default all namespaces)
  --inject-ca                  keep the roots of an MtlsAuthority in the caBundle of webhook configurations, APIServices and
                               CustomResourceDefinitions with the annotation mtls-operator.io/inject-ca-from
  --pod-certificates           sign PodCertificateRequests of the signer mtls-operator.io/NAME for each MtlsAuthority NAME with
                               spec.podCertificates
  --pod-evidence               watch pods, so that an MtlsAuthority with spec.rotation.podEvidence finds pods that never read new
                               roots or certificates
  --restart-workloads          restart the Deployments, StatefulSets and DaemonSets of such pods, for an MtlsAuthority with
                               spec.rotation.restartWorkloads; needs --pod-evidence
  --create-default-authority   create the MtlsAuthority "default" if the cluster has no MtlsAuthority
  --authorities-file FILE      create the MtlsAuthorities of this file that the cluster does not have: a JSON list of manifests,
                               read at the start; existing ones are never changed
  --listen-address HOST:PORT   the address for /healthz, /readyz and /metrics; without HOST, all addresses; an IPv6
                               address in brackets; port 0, any free port (default 127.0.0.1:8080)
  --metrics-listen-address HOST:PORT
                               serve /metrics at this address over TLS, instead of at --listen-address; needs
                               --metrics-tls-directory, and --metrics-client or --metrics-authorization
  --metrics-tls-directory DIR  the folder with tls.crt, tls.key and ca.crt for /metrics; changed files are loaded without a restart
  --metrics-client NAME        a client that may read /metrics, by a SPIFFE ID or DNS name in its certificate; repeatable
  --metrics-authorization      a client with a bearer token may read /metrics, if RBAC allows its user to get the nonResourceURL
                               /metrics; with --metrics-client, one of the two is enough
  --metrics-service NAME       create the MtlsCertificate NAME-metrics for this Service in the operator's namespace, if it does not
                               exist; mount its Secret NAME-metrics-server-tls at --metrics-tls-directory
  --metrics-authority NAME     the MtlsAuthority of that MtlsCertificate (default ${defaultAuthorityName})
  --no-metrics-per-certificate
                               leave out the metrics mtls_operator_certificate_*, which have series for each MtlsCertificate
  --log-level LEVEL            ${logLevels.join(', ')} (default info)
  --log-format FORMAT          json, one object a line, or text, for people at a terminal (default json)
  --workers N                  how many MtlsCertificates are reconciled at the same time, 1 to 1000 (default 32)
  --lease-duration DURATION    a leader that has not renewed the Lease for this long is replaced; whole seconds, at most
                               24h (default 15s)
  --renew-deadline DURATION    how long a leader that cannot renew the Lease continues to lead; shorter than
                               --lease-duration (default 10s)
  --retry-period DURATION      the time between attempts to acquire or renew the Lease; shorter than --renew-deadline
                               divided by 1.2 (default 2s)
  --help                       print this text
`;

/**
 * Reads the configuration from the command line and the environment.
 * @throws ConfigError
 */
export function readConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Config | 'help' {
  const values = parse(argv);
  if (values.help === true) return 'help';
  const serviceAccountDirectory = values['service-account-directory'];
  const listen = parseListenAddress('--listen-address', values['listen-address'] ?? '127.0.0.1:8080');
  const { metrics } = metricsOf(values);
  if (metrics !== undefined && overlap(listen, metrics.listen))
    throw new ConfigError(
      `--listen-address and --metrics-listen-address have the same port ${listen.port}; use for example --metrics-listen-address=:8443`,
    );
  return Object.freeze({
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: filled('kubeconfig', values.kubeconfig) }),
    ...(values.context === undefined ? {} : { context: filled('context', values.context) }),
    ...(serviceAccountDirectory === undefined
      ? {}
      : { serviceAccountDirectory: filled('service-account-directory', serviceAccountDirectory) }),
    namespace: namespaceOf(values.namespace, env['POD_NAMESPACE']),
    ...watchNamespacesOf(values['watch-namespaces']),
    injectCa: values['inject-ca'] ?? false,
    podCertificates: values['pod-certificates'] ?? false,
    ...podEvidenceOf(values),
    // Two replicas on one host need different names: with the same name, each would treat the other's Lease as its own.
    identity: env['POD_NAME'] || `${hostname()}-${process.pid}-${Date.now().toString(36)}`,
    createDefaultAuthority: values['create-default-authority'] ?? false,
    initialAuthorities: authoritiesIn(values['authorities-file']),
    listen: { ...listen, isExplicit: values['listen-address'] !== undefined },
    ...(metrics === undefined ? {} : { metrics }),
    ...metricsServiceOf(values),
    metricsPerCertificate: values['metrics-per-certificate'] ?? true,
    logLevel: logLevel(values['log-level'] ?? 'info'),
    logFormat: logFormat(values['log-format'] ?? 'json'),
    workers: count('workers', values.workers ?? '32'),
    rsaKeyWorkers: rsaKeyWorkers(env['UV_THREADPOOL_SIZE']),
    ...leaseTiming(values),
  });
}

/** One worker per core, but at most half of libuv's threads: DNS lookups and file access need the other half. */
function rsaKeyWorkers(threadPoolSize: string | undefined): number {
  // libuv parses the variable with atoi(), and uses one thread when the result is 0.
  const threads = threadPoolSize === undefined ? 4 : Number.parseInt(threadPoolSize, 10) || 1;
  return Math.max(1, Math.min(availableParallelism(), Math.floor(threads / 2)));
}

/** Every flag, for parseArgs. */
export const flagTypes = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  'service-account-directory': { type: 'string' },
  namespace: { type: 'string' },
  'watch-namespaces': { type: 'string' },
  'inject-ca': { type: 'boolean' },
  'pod-certificates': { type: 'boolean' },
  'pod-evidence': { type: 'boolean' },
  'restart-workloads': { type: 'boolean' },
  'create-default-authority': { type: 'boolean' },
  'authorities-file': { type: 'string' },
  'listen-address': { type: 'string' },
  'metrics-listen-address': { type: 'string' },
  'metrics-tls-directory': { type: 'string' },
  'metrics-client': { type: 'string', multiple: true },
  'metrics-authorization': { type: 'boolean' },
  'metrics-service': { type: 'string' },
  'metrics-authority': { type: 'string' },
  'metrics-per-certificate': { type: 'boolean' },
  'log-level': { type: 'string' },
  'log-format': { type: 'string' },
  workers: { type: 'string' },
  'lease-duration': { type: 'string' },
  'renew-deadline': { type: 'string' },
  'retry-period': { type: 'string' },
  help: { type: 'boolean' },
} as const;

function parse(argv: readonly string[]) {
  checkArguments(argv, flagTypes);
  return parseArgs({ args: [...argv], options: flagTypes, allowNegative: true }).values;
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
    throw new ConfigError(`--${name}: ${JSON.stringify(text)} is not a duration; use for example --${name}=15s`);
  return ms;
}

/** An unset variable in a manifest leaves a flag with an empty value. */
function filled(name: string, text: string): string {
  if (text === '') throw new ConfigError(`--${name}: the value is empty; set a value or remove the flag`);
  return text;
}

/** Without evidence, the operator does not know which workloads to restart. */
function podEvidenceOf(values: ReturnType<typeof parse>): Pick<Config, 'podEvidence' | 'restartWorkloads'> {
  const { 'pod-evidence': podEvidence = false, 'restart-workloads': restartWorkloads = false } = values;
  if (restartWorkloads && !podEvidence) throw new ConfigError('--restart-workloads needs --pod-evidence; set both');
  return { podEvidence, restartWorkloads };
}

/**
 * Reads the flags of the metrics server, which are all set or all absent. --metrics-client or --metrics-authorization is required
 * because every tenant can get a certificate issued by the same root.
 */
function metricsOf(values: ReturnType<typeof parse>): Pick<Config, 'metrics'> {
  const {
    'metrics-listen-address': address,
    'metrics-tls-directory': directory,
    'metrics-client': names = [],
    'metrics-authorization': authorization = false,
  } = values;
  const admits = names.length > 0 || authorization;
  if (address === undefined && directory === undefined && !admits) return {};
  if (address === undefined || directory === undefined || !admits)
    throw new ConfigError(
      '--metrics-listen-address and --metrics-tls-directory are used together, with --metrics-client, --metrics-authorization or both; set all of them',
    );
  return {
    metrics: {
      listen: parseListenAddress('--metrics-listen-address', address),
      tlsDirectory: filled('metrics-tls-directory', directory),
      clients: names.map(metricsClient),
      authorization,
    },
  };
}

/** The MtlsCertificate is useless without the server that presents it. */
function metricsServiceOf(values: ReturnType<typeof parse>): Pick<Config, 'metricsService'> {
  const { 'metrics-service': name, 'metrics-authority': authority, 'metrics-tls-directory': directory } = values;
  if (name === undefined && authority === undefined) return {};
  if (name === undefined || directory === undefined)
    throw new ConfigError(
      `--${name === undefined ? 'metrics-authority' : 'metrics-service'} needs --${name === undefined ? 'metrics-service' : 'metrics-tls-directory'}; set both`,
    );
  // The name of the MtlsCertificate, which is longer by "-metrics", is a label of its Secret.
  if (!/^[a-z]([-a-z0-9]{0,53}[a-z0-9])?$/.test(name))
    throw new ConfigError(
      `--metrics-service: ${JSON.stringify(name)} is not the name of a Service with at most 55 characters; use for example ${managerName}`,
    );
  const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
  if (authority !== undefined && (authority.length > 253 || !new RegExp(`^${label}(\\.${label})*$`).test(authority)))
    throw new ConfigError(
      `--metrics-authority: ${JSON.stringify(authority)} is not a valid name of an MtlsAuthority; use for example ${defaultAuthorityName}`,
    );
  return { metricsService: { name, authority: authority ?? defaultAuthorityName } };
}

function metricsClient(text: string): string {
  const name = clientName(text);
  if (name !== undefined) return name;
  throw new ConfigError(
    `--metrics-client: ${JSON.stringify(text)} is not a SPIFFE ID or DNS name; use for example spiffe://cluster.local/ns/monitoring/sa/prometheus`,
  );
}

/** The namespace from the flag, the environment variable or the default, in this order. */
function namespaceOf(flag: string | undefined, variable: string | undefined): string {
  const text = flag ?? (variable || managerName);
  if (isNamespaceName(text)) return text;
  // An empty namespace must be an error: in a request to the API server it means all namespaces.
  const source = flag === undefined ? 'POD_NAMESPACE' : '--namespace';
  throw new ConfigError(
    `${source}: ${JSON.stringify(text)} is not a valid namespace name; use for example ${managerName}`,
  );
}

/** A DNS label (RFC 1123). */
const isNamespaceName = (text: string): boolean => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text);

function watchNamespacesOf(text: string | undefined): Pick<Config, 'watchNamespaces'> {
  if (text === undefined) return {};
  const watchNamespaces = filled('watch-namespaces', text).split(',');
  for (const [index, name] of watchNamespaces.entries()) {
    if (!isNamespaceName(name))
      throw new ConfigError(
        `--watch-namespaces: ${JSON.stringify(name)} is not a valid namespace name; use for example --watch-namespaces=shop,billing`,
      );
    if (watchNamespaces.indexOf(name) !== index)
      throw new ConfigError(`--watch-namespaces: ${JSON.stringify(name)} occurs twice; remove one of them`);
  }
  return { watchNamespaces };
}

function logLevel(text: string): LogLevel {
  const level = logLevels.find((name) => name === text);
  if (level === undefined)
    throw new ConfigError(`--log-level: ${JSON.stringify(text)} is not a level; use one of ${logLevels.join(', ')}`);
  return level;
}

function logFormat(text: string): LogFormat {
  const format = logFormats.find((name) => name === text);
  if (format === undefined)
    throw new ConfigError(`--log-format: ${JSON.stringify(text)} is not a format; use ${logFormats.join(' or ')}`);
  return format;
}

function authoritiesIn(file: string | undefined): readonly AuthorityManifest[] {
  if (file === undefined) return [];
  const name = filled('authorities-file', file);
  try {
    return readAuthoritiesFile(name);
  } catch (error) {
    throw new ConfigError(`--authorities-file: ${(error as Error).message}`, { cause: error });
  }
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new ConfigError(
      `--${name}: ${JSON.stringify(text)} is not a whole number from 1 to 1000; use for example --${name}=32`,
    );
  return value;
}
