import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** The content of the server's answers. A check returns undefined when it passes, and otherwise the problem in words. */
export interface Telemetry {
  readonly healthy: () => string | undefined;
  readonly ready: () => string | undefined;
  /** Absent when --metrics-listen-address serves the metrics. */
  readonly metrics?: MetricsText;
}

/** The metrics in the Prometheus text format, in pieces. */
export type MetricsText = () => Promise<{ contentType: string; body: Iterable<string> }>;

/** Where to listen. Without a host: all IPv4 and IPv6 addresses. Port 0: any free port. */
export interface ListenAddress {
  readonly host?: string;
  readonly port: number;
}

/**
 * Serves /healthz and /readyz, and /metrics if `telemetry` has metrics.
 * @throws the error of listen(2) when the address cannot be used
 */
export async function serveTelemetry(
  telemetry: Telemetry,
  address: ListenAddress,
): Promise<{ server: Server; address: string }> {
  const server = createServer((request, response) => {
    answer(telemetry, request, response).catch(() => {
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  });
  return { server, address: await listenOn(server, address) };
}

/**
 * Starts to listen, and returns the address as HOST:PORT.
 * @throws the error of listen(2) when the address cannot be used
 */
export async function listenOn(server: NetServer, requested: ListenAddress): Promise<string> {
  server.listen(requested.port, requested.host);
  await once(server, 'listening');
  const { address: host, port, family } = server.address() as AddressInfo;
  return family === 'IPv6' ? `[${host}]:${port}` : `${host}:${port}`;
}

async function answer({ healthy, ready, metrics }: Telemetry, request: IncomingMessage, response: ServerResponse) {
  const reply = (status: number, contentType: string, body: string) =>
    response.writeHead(status, { 'content-type': contentType }).end(request.method === 'HEAD' ? '' : body);
  const check = (problem: string | undefined) =>
    reply(problem === undefined ? 200 : 503, 'text/plain; charset=utf-8', `${problem ?? 'ok'}\n`);
  switch (request.url?.split('?')[0]) {
    case '/healthz':
      return check(healthy());
    case '/readyz':
      return check(ready());
    case '/metrics':
      if (metrics !== undefined) return answerMetrics(metrics, request, response);
      return reply(404, 'text/plain; charset=utf-8', 'metrics are served at the address in --metrics-listen-address\n');
    default:
      return reply(404, 'text/plain; charset=utf-8', 'not found\n');
  }
}

/** Writes the metrics no faster than the client reads them, because there may be megabytes. */
export async function answerMetrics(
  metrics: MetricsText,
  { method }: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const { contentType, body } = await metrics();
  response.writeHead(200, { 'content-type': contentType });
  return method === 'HEAD' ? response.end() : pipeline(Readable.from(body), response);
}
