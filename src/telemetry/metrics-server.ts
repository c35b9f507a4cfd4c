import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { answerMetrics, type ListenAddress, listenOn, type MetricsText } from './server.ts';
import { readTlsFiles, type TlsFiles } from './tls-files.ts';
import type { TokenVerdict } from './token-gate.ts';

/** The settings of the TLS server for /metrics. */
export interface MetricsServerOptions {
  readonly metrics: MetricsText;
  readonly listen: ListenAddress;
  /** A folder with tls.crt and tls.key, and ca.crt if clients present certificates. After a change, new connections use the new files. */
  readonly tlsDirectory: string;
  /**
   * Present if clients may present certificates: returns true if the client with this certificate (DER) may read the metrics. TLS
   * has verified the certificate already.
   */
  readonly mayRead?: ((certificate: Buffer) => boolean) | undefined;
  /** Present if clients may send a bearer token: decides about the token. One of the two is enough for a client. */
  readonly decide?: ((token: string, address: string) => Promise<TokenVerdict>) | undefined;
  readonly log: {
    info(message: string, fields: object): unknown;
    warn(message: string, fields: object): unknown;
  };
  /** How often the files are read, in milliseconds; default 5000. */
  readonly reloadMs?: number;
  /** How long a client may take to send a request, in milliseconds; default 10,000. */
  readonly requestMs?: number;
}

/** A running TLS server for /metrics. */
export interface MetricsServer {
  readonly address: string;
  close(): void;
}

const handshakeMs = 10_000;

/** A connection takes about 60 KB of memory, whether its client may read the metrics or not. */
const mostConnections = 500;

/** So that one client cannot keep the others out. Prometheus uses one connection. */
const mostPerAddress = 20;

/**
 * Serves /metrics over TLS to the clients that `mayRead` or `decide` accepts. Missing or invalid files do not end the process, because the
 * operator may still have to issue the certificate. Until the files are valid, every handshake fails.
 * @throws the error of listen(2) when the address cannot be used
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { requestMs = 10_000 } = options;
  const server = createServer(
    {
      requestCert: options.mayRead !== undefined,
      // A client without a certificate may still send a token.
      rejectUnauthorized: options.decide === undefined,
      minVersion: 'TLSv1.2',
      handshakeTimeout: handshakeMs,
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: requestMs / 2,
    },
    (request, response) => {
      answer(options, request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end();
      });
    },
  );
  limitConnections(server);
  const address = await listenOn(server, options.listen);
  const stopReloading = await keepReloading(server, options);
  return {
    address,
    close() {
      stopReloading();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Closes the connections beyond the limits at once. */
function limitConnections(server: Server): void {
  server.maxConnections = mostConnections;
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const { remoteAddress: address = '' } = socket;
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 0) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
    if (count > mostPerAddress) socket.destroy();
  });
}

async function answer(
  options: MetricsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const refusal = isKnownClient(options, request.socket as TLSSocket) ? undefined : await refusalOf(options, request);
  if (refusal !== undefined) {
    const { status, text, headers } = refusal;
    return response.writeHead(status, { ...plainText, ...headers }).end(`${text}\n`);
  }
  if (request.url?.split('?')[0] !== '/metrics') return response.writeHead(404, plainText).end('not found\n');
  return answerMetrics(options.metrics, request, response);
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' };

function isKnownClient({ mayRead }: MetricsServerOptions, socket: TLSSocket): boolean {
  const certificate = socket.authorized ? socket.getPeerX509Certificate()?.raw : undefined;
  return certificate !== undefined && mayRead?.(certificate) === true;
}

interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why a client without a known certificate may not read the metrics; undefined if its token allows it. */
async function refusalOf(
  { mayRead, decide }: MetricsServerOptions,
  { headers, socket }: IncomingMessage,
): Promise<Refusal | undefined> {
  if (decide === undefined) return { status: 403, text: 'no --metrics-client matches a name in this certificate' };
  const token = /^Bearer +([\w.~+/-]+=*) *$/i.exec(headers.authorization ?? '')?.[1];
  if (token === undefined) return mayRead === undefined ? refusals.noToken : refusals.noTokenNorCertificate;
  const verdict = await decide(token, socket.remoteAddress ?? '');
  return verdict === 'allowed' ? undefined : refusals[verdict];
}

// RFC 6750, 3: the scheme that the client can use, and what is wrong with its token.
const challenge = { 'www-authenticate': 'Bearer realm="metrics"' };
const invalidToken = { 'www-authenticate': 'Bearer realm="metrics", error="invalid_token"' };
const insufficient = { 'www-authenticate': 'Bearer realm="metrics", error="insufficient_scope"' };
const later = { 'retry-after': '1' };

const refusals = {
  noToken: { status: 401, text: 'send a bearer token', headers: challenge },
  noTokenNorCertificate: {
    status: 401,
    text: 'send a bearer token, or present a certificate with a name of --metrics-client',
    headers: challenge,
  },
  unauthenticated: { status: 401, text: 'the API server does not accept this token', headers: invalidToken },
  forbidden: {
    status: 403,
    text: 'the user of this token may not get the nonResourceURL /metrics',
    headers: insufficient,
  },
  busy: { status: 503, text: 'too many tokens are being checked; try again', headers: later },
  unavailable: { status: 503, text: 'the API server cannot check this token now; try again', headers: later },
} as const satisfies Readonly<Record<string, Refusal>>;

/** Loads the files now, and again after each change. Returns a function that stops this. */
async function keepReloading(server: Server, options: MetricsServerOptions): Promise<() => void> {
  const { tlsDirectory: directory, mayRead, log, reloadMs = 5000 } = options;
  let used: TlsFiles | undefined;
  let problem: string | undefined;
  const reload = async (): Promise<void> => {
    try {
      const files = await readTlsFiles(directory, { ca: mayRead !== undefined });
      problem = undefined;
      if (used !== undefined && isSame(files, used)) return;
      const { cert, key, ca } = files;
      server.setSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }), minVersion: 'TLSv1.2' });
      used = files;
      log.info('loaded the certificate for serving metrics', { directory });
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem)
        log.warn('cannot load the certificate for serving metrics; the operator retries', {
          directory,
          problem: message,
        });
      problem = message;
    }
  };
  await reload();
  const timer = setInterval(() => void reload(), reloadMs).unref();
  return () => clearInterval(timer);
}

const isSame = (one: TlsFiles, other: TlsFiles): boolean =>
  one.cert.equals(other.cert) &&
  one.key.equals(other.key) &&
  (one.ca === undefined || other.ca === undefined ? one.ca === other.ca : one.ca.equals(other.ca));
