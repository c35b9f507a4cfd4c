import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ApiServer } from '../../../../src/kube/api/api-server.ts';
import { kubeconfigServer } from '../../../../src/kube/api/kubeconfig.ts';
import { Connection, KubeClient, type KubeClientOptions } from '../../../../src/kube/index.ts';

/** A request, and the functions to answer it. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The client's end of the connection. */
  readonly port: number | undefined;
  readonly response: ServerResponse;
  /** Counts from 1. */
  readonly number: number;
  readonly json: (status: number, body: unknown, headers?: Record<string, string>) => void;
  /** Answers with a metav1.Status. */
  readonly status: (code: number, reason: string, message?: string, headers?: Record<string, string>) => void;
  /** Sends watch events, one per line, and leaves the answer open. */
  readonly events: (...events: readonly unknown[]) => void;
  /** Breaks the connection. */
  readonly reset: () => void;
}

export interface FaultServer {
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  /** How many connections were opened. */
  readonly connections: () => number;
  readonly client: (options?: Partial<KubeClientOptions>) => KubeClient;
  /** Replaces the user in the kubeconfig of the clients. */
  readonly writeUser: (user: Record<string, string>) => void;
  readonly close: () => Promise<void>;
}

/** An HTTP server whose answers the test decides, for answers that a healthy API server never gives. */
export async function serve(t: TestContext, answer: (exchange: Exchange) => void): Promise<FaultServer> {
  const exchanges: Exchange[] = [];
  const clients: KubeClient[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const exchange = exchangeOf(request, response, Buffer.concat(chunks).toString(), exchanges.length + 1);
      exchanges.push(exchange);
      answer(exchange);
    });
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = mkdtempSync(join(tmpdir(), 'kube-test-'));
  const kubeconfig = join(folder, 'kubeconfig');
  const writeUser: FaultServer['writeUser'] = (user) => writeFileSync(kubeconfig, kubeconfigOf(url, user));
  writeUser({ token: 'first' });
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.after(async () => {
    server.closeAllConnections();
    await Promise.all(clients.map((client) => client.close()));
    await close();
    rmSync(folder, { recursive: true });
  });
  const client: FaultServer['client'] = (options = {}) => {
    const load = (): ApiServer => kubeconfigServer(kubeconfig, undefined);
    const connection = new Connection(load(), async () => load());
    const made = new KubeClient(connection, { userAgent: 'test/1', ...options });
    clients.push(made);
    return made;
  };
  return { url, exchanges, connections: () => connections, client, writeUser, close };
}

function exchangeOf(request: IncomingMessage, response: ServerResponse, body: string, number: number): Exchange {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const json: Exchange['json'] = (status, answer, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(answer));
  };
  return {
    method: request.method ?? '',
    path: pathname,
    query: searchParams,
    headers: request.headers,
    body,
    port: request.socket.remotePort,
    response,
    number,
    json,
    status: (code, reason, message = reason, headers = {}) =>
      json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers),
    events(...events) {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
      for (const event of events) response.write(`${typeof event === 'string' ? event : JSON.stringify(event)}\n`);
      if (events.length === 0) response.flushHeaders();
    },
    reset: () => request.socket.destroy(),
  };
}

function kubeconfigOf(server: string, user: Record<string, string>): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'here' } }],
    'current-context': 'x',
  });
}
