import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { answerMetrics, type ListenAddress, listenOn, type MetricsText } from './server.ts';
import { readTlsFiles, type TlsFiles } from './tls-files.ts';

/** How /metrics is served to those who are named. */
export interface MetricsServerOptions {
  readonly metrics: MetricsText;
  readonly listen: ListenAddress;
  /** A folder with tls.crt, tls.key and ca.crt. They are read again, and used for new connections, when they change. */
  readonly tlsDirectory: string;
  /** Whether a client may read, by its certificate in DER, which one of the CAs in ca.crt has signed for clients. */
  readonly mayRead: (certificate: Buffer) => boolean;
  readonly log: {
    info(message: string, fields: object): unknown;
    warn(message: string, fields: object): unknown;
  };
  /** How often the files are read, in milliseconds; 5 seconds by default. */
  readonly reloadMs?: number;
}

/** A running server of metrics. */
export interface MetricsServer {
  readonly address: string;
  close(): void;
}

const handshakeMs = 10_000;

/**
 * Serves /metrics over TLS to the clients that `mayRead` names. Files that are missing or do not fit do not end the process:
 * the certificate may be one that the operator is still to issue. Until they are there, no handshake succeeds.
 * @throws the error of listen(2), when the address cannot be had
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer(
    { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2', handshakeTimeout: handshakeMs },
    (request, response) => {
      answer(options, request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end();
      });
    },
  );
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

async function answer(
  { metrics, mayRead }: MetricsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const socket = request.socket as TLSSocket;
  const certificate = socket.authorized ? socket.getPeerX509Certificate()?.raw : undefined;
  const reply = (status: number, text: string) =>
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  if (certificate === undefined || !mayRead(certificate)) return reply(403, 'no --metrics-client has this certificate');
  if (request.url?.split('?')[0] !== '/metrics') return reply(404, 'not found');
  return answerMetrics(metrics, request, response);
}

/** Uses the files as they are now, and again whenever they change. */
async function keepReloading(server: Server, options: MetricsServerOptions): Promise<() => void> {
  const { tlsDirectory: directory, log, reloadMs = 5000 } = options;
  let used: TlsFiles | undefined;
  let problem: string | undefined;
  const reload = async (): Promise<void> => {
    try {
      const files = await readTlsFiles(directory);
      problem = undefined;
      if (used !== undefined && isSame(files, used)) return;
      server.setSecureContext({ ...files, minVersion: 'TLSv1.2' });
      used = files;
      log.info('serving metrics with the certificate in the folder', { directory });
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem)
        log.warn('the files for serving metrics cannot be used yet', { directory, problem: message });
      problem = message;
    }
  };
  await reload();
  const timer = setInterval(() => void reload(), reloadMs).unref();
  return () => clearInterval(timer);
}

const isSame = (one: TlsFiles, other: TlsFiles): boolean =>
  one.cert.equals(other.cert) && one.key.equals(other.key) && one.ca.equals(other.ca);
