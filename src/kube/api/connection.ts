import { isDeepStrictEqual } from 'node:util';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { sleep } from '../async/backoff.ts';
import type { ApiServer, Credentials } from './api-server.ts';
import { hasServiceAccount, inClusterServer, serviceAccountDirectory } from './in-cluster.ts';
import { KubeError } from './kube-error.ts';
import { describeProxy, parseProxy, proxyFromEnvironment } from './proxy.ts';

/**
 * Where to find the API server and the credentials for it. Without any: KUBECONFIG, the ServiceAccount of the pod,
 * ~/.kube/config, in this order.
 */
export interface ConnectionOptions {
  /** A kubeconfig file. */
  readonly kubeconfig?: string | undefined;
  /** A context of the kubeconfig. Left out: its current one. */
  readonly context?: string | undefined;
  /** The folder of a pod's ServiceAccount token and ca.crt, unless a kubeconfig or context is given. */
  readonly serviceAccountDirectory?: string | undefined;
}

/** What one request needs besides itself. */
export interface Transport {
  /** Names and values in turn. They hold the credential: never log them. */
  readonly headers: readonly string[];
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
}

// Kubelet replaces a mounted ServiceAccount token when a fifth of its hour is left, so ten seconds of age never matter.
const rereadAfterMs = 10_000;

const closeMs = 1000;

// Measured against a real API server on HTTP/1.1: 16 and 32 connections do the same, fewer do less.
const connections = 32;

/**
 * The way to one API server: its address, the credentials, re-read as they are rotated, and a pool of connections. It does not
 * connect yet.
 * @throws KubeError Configuration when there is no usable kubeconfig and no ServiceAccount
 */
export async function loadConnection(options: ConnectionOptions = {}): Promise<Connection> {
  return new Connection(await loadServer(options), () => loadServer(options));
}

async function loadServer({ kubeconfig, context, ...options }: ConnectionOptions): Promise<ApiServer> {
  if (kubeconfig === undefined && context === undefined) {
    const directory = options.serviceAccountDirectory ?? serviceAccountDirectory;
    const isAskedFor = options.serviceAccountDirectory !== undefined;
    if (isAskedFor || (!process.env['KUBECONFIG'] && hasServiceAccount(directory))) {
      return inClusterServer(directory, process.env);
    }
  }
  const { kubeconfigServer } = await import('./kubeconfig.ts');
  return kubeconfigServer(kubeconfig, context);
}

export class Connection {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path in front of every API path, without a slash at its end; empty for an API server of its own. */
  readonly basePath: string;
  /** ` through the proxy http://…`, for messages; empty without a proxy. */
  readonly via: string;
  readonly #proxy: URL | undefined;
  readonly #reload: () => Promise<ApiServer>;
  #server: ApiServer;
  #tls: TlsMaterial | undefined;
  #current: Transport | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<Transport> | undefined;
  #renewing: Promise<Transport> | undefined;

  /** @param reload gives the same server, with nothing of its credentials cached */
  constructor(server: ApiServer, reload: () => Promise<ApiServer>) {
    this.#server = server;
    this.#reload = reload;
    const url = new URL(server.url);
    this.origin = url.origin;
    this.basePath = url.pathname.replace(/\/+$/, '');
    this.#proxy = server.proxyUrl
      ? parseProxy(server.proxyUrl, 'proxy-url of the kubeconfig')
      : proxyFromEnvironment(url, process.env);
    this.via = this.#proxy === undefined ? '' : ` through the proxy ${describeProxy(this.#proxy)}`;
  }

  /** The credentials and connections of now. Throws a KubeError `Configuration` when the first credentials cannot be read. */
  async transport(): Promise<Transport> {
    const current = this.#current;
    if (current && performance.now() - this.#readAtMs < rereadAfterMs) return current;
    try {
      return await this.#read();
    } catch (error) {
      // A token file that is missing for a moment is no reason to stop using the credential at hand.
      if (current && this.#current === current) return current;
      throw error;
    }
  }

  /** New credentials, read from their source, after the API server has refused those of `refused`. */
  async renew(refused: Transport): Promise<Transport> {
    if (this.#current !== refused) return this.transport();
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Ends all connections: watches are cut, requests under way have a second to finish. */
  async close(): Promise<void> {
    const { watches, requests } = this.#current ?? {};
    await watches?.destroy();
    // A request that was given up before it had a connection stays in the pool until the connection is there or has failed.
    const closed = new AbortController();
    const closing = requests?.close().then(() => closed.abort());
    await Promise.race([closing, sleep(closeMs, closed.signal)]);
    await requests?.destroy();
  }

  async #renew(): Promise<Transport> {
    await this.#reading?.catch(() => undefined);
    // The whole kubeconfig again: client-node caches token files and the answers of login programs.
    this.#server = await this.#reload();
    return this.#read();
  }

  #read(): Promise<Transport> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readNow(): Promise<Transport> {
    const options = await readCredentials(this.#server);
    const { ca, cert, key, passphrase, pfx, servername, rejectUnauthorized } = options;
    const tls: TlsMaterial = { ca, cert, key, passphrase, pfx, servername, rejectUnauthorized };
    const headers = authenticationHeaders(options);
    const old = this.#current;
    if (old && isDeepStrictEqual(tls, this.#tls)) {
      this.#current = { ...old, headers };
    } else {
      const pool = (size: number | null): Dispatcher => makeDispatcher(this.#proxy, tls, size);
      this.#current = { headers, requests: pool(connections), watches: pool(null) };
      this.#tls = tls;
      // Graceful: what is under way on the old connections ends there.
      for (const dispatcher of old ? [old.requests, old.watches] : []) dispatcher.close().catch(() => undefined);
    }
    this.#readAtMs = performance.now();
    return this.#current;
  }
}

type TlsMaterial = Pick<
  Credentials,
  'ca' | 'cert' | 'key' | 'passphrase' | 'pfx' | 'servername' | 'rejectUnauthorized'
>;

async function readCredentials(server: ApiServer): Promise<Credentials> {
  try {
    return await server.credentials();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KubeError('Configuration', `cannot read the credentials for the API server: ${why.slice(0, 300)}`);
  }
}

function authenticationHeaders({ headers, auth }: Credentials): string[] {
  const basic = auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
  const given = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value).trim()]);
  return Object.entries<string>({ ...basic, ...Object.fromEntries(given) }).flat();
}

function makeDispatcher(proxy: URL | undefined, tls: TlsMaterial, size: number | null): Dispatcher {
  const material = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  const options = {
    connections: size,
    allowH2: false,
    // Deadlines are the client's, by signal: they hold for the whole call, and a watch is silent for long.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Below the API server's own 90 s, so that a request seldom meets a connection that is just being closed.
    keepAliveTimeout: 30_000,
    // As client-go: cloud load balancers drop connections that are silent for 60 s.
    connect: { ...material, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 30_000 },
  };
  if (proxy === undefined) return new Agent(options);
  return new ProxyAgent({ ...options, uri: proxy.href, requestTls: options.connect });
}
