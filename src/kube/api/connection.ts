import { checkServerIdentity, createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { sleep } from '../async/backoff.ts';
import type { ApiServer, Credentials } from './api-server.ts';
import { hasServiceAccount, inClusterServer, serviceAccountDirectory } from './in-cluster.ts';
import { KubeError } from './kube-error.ts';
import { describeProxy, parseProxy, proxyFromEnvironment } from './proxy.ts';

/**
 * Where to find the API server and its credentials. Default: the file in KUBECONFIG, then the ServiceAccount of the pod, then
 * ~/.kube/config.
 */
export interface ConnectionOptions {
  /** A kubeconfig file. */
  readonly kubeconfig?: string | undefined;
  /** A context of the kubeconfig. Default: its current context. */
  readonly context?: string | undefined;
  /** The folder with the token and ca.crt of a ServiceAccount. Ignored if `kubeconfig` or `context` is set. */
  readonly serviceAccountDirectory?: string | undefined;
}

/** The connections and credentials for a request. */
export interface Transport {
  /** Alternating names and values. They contain the credential: never log them. */
  readonly headers: readonly string[];
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
}

// kubelet replaces a ServiceAccount token long before it expires, so credentials that are ten seconds old are still valid.
const rereadAfterMs = 10_000;

const closeMs = 1000;

// Measured against a real API server on HTTP/1.1: 32 connections have the same throughput as 16, and fewer than 16 have less.
const connections = 32;

/**
 * Returns the address of an API server with its credentials, which are read again as they are rotated, and a pool of connections.
 * It does not connect yet.
 * @throws KubeError Configuration if there is neither a valid kubeconfig nor a ServiceAccount
 */
export async function loadConnection(options: ConnectionOptions = {}): Promise<Connection> {
  return new Connection(await loadServer(options), () => loadServer(options));
}

async function loadServer({ kubeconfig, context, ...options }: ConnectionOptions): Promise<ApiServer> {
  if (kubeconfig === undefined && context === undefined) {
    const directory = options.serviceAccountDirectory ?? serviceAccountDirectory;
    const isRequested = options.serviceAccountDirectory !== undefined;
    if (isRequested || (!process.env['KUBECONFIG'] && hasServiceAccount(directory))) {
      return inClusterServer(directory, process.env);
    }
  }
  const { kubeconfigServer } = await import('./kubeconfig.ts');
  return kubeconfigServer(kubeconfig, context);
}

export class Connection {
  /** Scheme, host and port. */
  readonly origin: string;
  /** The prefix of every API path, without a trailing slash; usually empty. */
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

  /** @param reload returns the same server without cached credentials */
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

  /** The current credentials and connections. Throws a KubeError `Configuration` if the first credentials cannot be read. */
  async transport(): Promise<Transport> {
    const current = this.#current;
    if (current && performance.now() - this.#readAtMs < rereadAfterMs) return current;
    try {
      return await this.#read();
    } catch (error) {
      // If a token file is missing for a moment, continue with the current credentials.
      if (current && this.#current === current) return current;
      throw error;
    }
  }

  /** Reads new credentials after the API server has answered 401 to those of `refused`. */
  async renew(refused: Transport): Promise<Transport> {
    if (this.#current !== refused) return this.transport();
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Closes all connections. Watches end at once. Other requests in progress have a second to finish. */
  async close(): Promise<void> {
    const { watches, requests } = this.#current ?? {};
    await watches?.destroy();
    // A request that was aborted before it had a connection stays in the pool until a connection is established or fails.
    const closed = new AbortController();
    const closing = requests?.close().then(() => closed.abort());
    await Promise.race([closing, sleep(closeMs, closed.signal)]);
    await requests?.destroy();
  }

  async #renew(): Promise<Transport> {
    await this.#reading?.catch(() => undefined);
    // Load the whole kubeconfig again, because client-node caches token files and the output of login programs.
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
      requireUsable(tls);
      const pool = (size: number | null): Dispatcher => makeDispatcher(this.#proxy, tls, size);
      this.#current = { headers, requests: pool(connections), watches: pool(null) };
      this.#tls = tls;
      // close() lets requests in progress on the old connections finish.
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

/** Otherwise every connection would fail, with an error that does not name the credentials. */
function requireUsable({ ca, cert, key, passphrase, pfx }: TlsMaterial): void {
  try {
    createSecureContext({ ca, cert, key, passphrase, pfx });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KubeError('Configuration', `TLS cannot use the credentials for the API server: ${why.slice(0, 300)}`);
  }
}

function authenticationHeaders({ headers, auth }: Credentials): string[] {
  const basic = auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
  const named = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value).trim()]);
  return Object.entries<string>({ ...basic, ...Object.fromEntries(named) }).flat();
}

function makeDispatcher(proxy: URL | undefined, tls: TlsMaterial, size: number | null): Dispatcher {
  const material = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  const options = {
    connections: size,
    allowH2: false,
    // The client has its own deadlines, which cover the whole call. A watch may be silent for a long time.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Less than the API server's 90 s, so that a request seldom uses a connection that the server closes at the same time.
    keepAliveTimeout: 30_000,
    // As in client-go: cloud load balancers drop connections that are silent for 60 s.
    connect: { ...material, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 30_000 },
  };
  if (proxy === undefined) return new Agent(options);
  return new ProxyAgent({
    ...options,
    uri: proxy.href,
    requestTls: { ...options.connect, checkServerIdentity: checkIdentity },
    proxyTls: { checkServerIdentity: checkIdentity },
  });
}

/** ProxyAgent passes an IPv6 address in brackets, which Node.js would compare as a DNS name. */
const checkIdentity: typeof checkServerIdentity = (host, certificate) =>
  checkServerIdentity(host.replace(/^\[(.*)\]$/, '$1'), certificate);
