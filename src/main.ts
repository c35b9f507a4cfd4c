import { managerName } from './api/constants.ts';
import { checkFolders } from './config/check-folders.ts';
import { type Config, ConfigError, readConfig, usage } from './config/config.ts';
import { listenError, PortInUseError } from './config/listen-flags.ts';
import { controllerNames, metricSources, Operator } from './controllers/index.ts';
import {
  aborted,
  type Connection,
  isKubeError,
  KubeClient,
  KubeError,
  LeaderElector,
  loadConnection,
  reviewAccess,
} from './kube/index.ts';
import { isMetricsClient } from './plan/index.ts';
import { stopSignal } from './stop-signal.ts';
import { IdleCollection } from './telemetry/idle-collection.ts';
import { createLog } from './telemetry/logger.ts';
import { Metrics } from './telemetry/metrics.ts';
import { type MetricsServer, serveMetrics } from './telemetry/metrics-server.ts';
import { serveTelemetry, type Telemetry } from './telemetry/server.ts';
import { TokenGate } from './telemetry/token-gate.ts';
import { version } from './version.ts';

const lingerMs = 1000;
const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

/** Runs the operator until `signal` aborts. */
async function run(config: Config, log: ReturnType<typeof createLog>, signal: AbortSignal): Promise<void> {
  const metrics = new Metrics({ version, perCertificate: config.metricsPerCertificate });
  const { runtime } = metrics;
  for (const name of controllerNames) runtime.expectController(name);
  runtime.onTransition(managerName, false);
  const connection = await connect(config, signal);
  const client = new KubeClient(connection, {
    userAgent: `${managerName}/${version}`,
    log,
    onRequest: (record) => runtime.onRequest(record),
  });
  const collection = new IdleCollection();
  const operator = new Operator({
    ...config,
    client,
    log,
    now: () => new Date(),
    observer: {
      onReconcile(controller, record) {
        runtime.onReconcile(controller, record);
        collection.worked();
      },
      queueObserver: (controller) => runtime.queueObserver(controller),
      onIssued: (role, reason) => metrics.issued.inc({ role, reason }),
      onPodCertificateIssued(authority, seconds) {
        metrics.podCertificatesIssued.inc({ authority });
        metrics.podCertificateSeconds.observe(seconds);
      },
      onPodCertificateDenied: (authority, reason) => metrics.podCertificatesDenied.inc({ authority, reason }),
      onReflectorError: (resource, code) => metrics.watchErrors.inc({ resource, code }),
      onListed: (count) => collection.worked(count),
    },
  });
  metrics.mirror(metricSources(operator, () => new Date()));
  const elector = new LeaderElector({
    ...config,
    client,
    lease: { namespace: config.namespace, name: managerName },
    log,
    onTransition: (leading) => runtime.onTransition(managerName, leading),
  });
  const telemetry = await listen(config, log, {
    healthy: () => undefined,
    ready: () => (operator.hasSynced ? undefined : 'the first lists from the API server are not complete yet'),
    ...(config.metrics === undefined ? { metrics: () => metrics.expose() } : {}),
  });
  log.info('serving health and metrics', { address: telemetry.address });
  const authenticated = await listenForMetrics(config, metrics, client, log);

  // The caches run until the leader has stopped, so that it also observes its last writes.
  const caching = new AbortController();
  const cached = operator.cache(caching.signal);
  try {
    await Promise.race([operator.synced, aborted(signal)]);
    await elector.run(signal, operator.lead);
  } finally {
    caching.abort();
    await cached;
    await client.close();
    authenticated?.close();
    telemetry.server.close();
    telemetry.server.closeAllConnections();
  }
  log.info('stopped');
}

/**
 * Reads the first credentials. Later, an error while they are read again is retried.
 * @throws ConfigError if a flag, a variable or the kubeconfig does not lead to an API server
 */
async function connect(config: Config, signal: AbortSignal): Promise<Connection> {
  try {
    const connection = await loadConnection(config);
    await Promise.race([connection.transport(), aborted(signal)]);
    return connection;
  } catch (error) {
    throw isKubeError(error, 'Configuration') ? new ConfigError(error.message, { cause: error }) : error;
  }
}

/** Without --listen-address, a second replica on the same machine uses a free port. */
async function listen({ listen: address }: Config, log: ReturnType<typeof createLog>, telemetry: Telemetry) {
  try {
    return await serveTelemetry(telemetry, address);
  } catch (error) {
    if (address.isExplicit || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE')
      throw listenError('--listen-address', address, error);
    log.warn('the default port is in use; the operator uses a free port instead', { port: address.port });
    return serveTelemetry(telemetry, { ...address, port: 0 });
  }
}

/** Serves the metrics over TLS if the flags ask for it. */
async function listenForMetrics(
  { metrics: options }: Config,
  metrics: Metrics,
  client: KubeClient,
  log: ReturnType<typeof createLog>,
): Promise<MetricsServer | undefined> {
  if (options === undefined) return undefined;
  const { clients, authorization } = options;
  const gate = authorization ? tokenGate(client, log) : undefined;
  const server = await serveMetrics({
    ...options,
    metrics: () => metrics.expose(),
    mayRead: clients.length === 0 ? undefined : isMetricsClient(clients),
    decide: gate && ((token, address) => gate.decide(token, address)),
    log,
  }).catch((error: unknown) => {
    throw listenError('--metrics-listen-address', options.listen, error);
  });
  log.info('serving metrics over TLS', { address: server.address, clients, tokens: authorization });
  return server;
}

const tokenGate = (client: KubeClient, log: ReturnType<typeof createLog>): TokenGate =>
  new TokenGate({
    check: (token) => reviewAccess(client, token, { verb: 'get', path: '/metrics' }),
    onError: (error) =>
      log.warn('cannot check the token of a client that asks for the metrics; the client gets 503', { error }),
  });

async function main(): Promise<number> {
  let log = createLog('info', 'json');
  try {
    const config = readConfig(process.argv.slice(2), process.env);
    if (config === 'help') {
      process.stdout.write(usage);
      return exitCodes.ok;
    }
    checkFolders(config);
    log = createLog(config.logLevel, config.logFormat);
    await run(config, log, stopSignal);
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`mtls-operator: ${error.message}\n`);
      return exitCodes.usage;
    }
    if (error instanceof PortInUseError) {
      log.error(error.message);
      return exitCodes.failed;
    }
    log.error(error instanceof KubeError ? error.message : 'the operator failed', { error });
    return exitCodes.failed;
  }
}

process.exitCode = await main();
// End the process even if a connection attempt or a credential program is still running.
setTimeout(() => process.exit(), lingerMs).unref();
