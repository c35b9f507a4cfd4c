import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { answerMetrics, type ListenAddress, listenOn, type MetricsText } from './server.ts';
import { readTlsFiles, type TlsFiles } from './tls-files.ts';

/** The settings of the TLS server for /metrics. */
export interface MetricsServerOptions {
  readonly metrics: MetricsText;
  readonly listen: ListenAddress;
  /** A folder with tls.crt, tls.key and ca.crt. After a change, new connections use the new files. */
  readonly tlsDirectory: string;
  /** Returns true if the client with this certificate (DER) may read the metrics. TLS has verified the certificate already. */
  readonly mayRead: (certificate: Buffer) => boolean;
  readonly log: {
    info(message: string, fields: object): unknown;
    warn(message: string, fields: object): unknown;
  };
  /** How often the files are read, in milliseconds; default 5000. */
  readonly reloadMs?: number;
}

/** A running TLS server for /metrics. */
export interface MetricsServer {
  readonly address: string;
  close(): void;
}

const handshakeMs = 10_000;

/**
 * Serves /metrics over TLS to the clients that `mayRead` accepts. Missing or invalid files do not end the process, because the
 * operator may still have to issue the certificate. Until the files are valid, every handshake fails.
 * @throws the error of listen(2) when the address cannot be used
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
  if (certificate === undefined || !mayRead(certificate))
    return reply(403, 'no --metrics-client matches a name in this certificate');
  if (request.url?.split('?')[0] !== '/metrics') return reply(404, 'not found');
  return answerMetrics(metrics, request, response);
}

/** Loads the files now, and again after each change. Returns a function that stops this. */
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
  one.cert.equals(other.cert) && one.key.equals(other.key) && one.ca.equals(other.ca);
