import { readFileSync } from 'node:fs';
import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { Agent, createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import type { TestCluster } from './cluster.ts';

/** A request from the operator to the API server. */
export interface Exchange {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isWatch: boolean;
  /** The Accept header: tells whether the request is for metadata only. */
  readonly accept: string;
}

/** A response that the proxy sends instead of the API server. */
export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: object;
}

/** The fate of a request or its response: it passes, or the connection breaks. */
export type Fate = 'pass' | 'break';

/** The faults of a proxy. Each hook may be slow: the connection is silent while its promise is pending. */
export interface Faults {
  /** Before the API server sees the request. */
  readonly onRequest?: (exchange: Exchange) => Fate | Answer | Promise<Fate | Answer>;
  /** After the API server has processed the request, before the operator gets the response. */
  readonly onReply?: (exchange: Exchange, status: number) => Fate | Promise<Fate>;
  /** Before a chunk of a watch is forwarded: one or several events, or a part of one. */
  readonly onEvents?: (exchange: Exchange, text: string) => void | Promise<void>;
}

/** An HTTP proxy with configurable faults between one operator and the API server. */
export interface FaultyProxy {
  /** The API server's URL for the operator. */
  readonly server: string;
  /** The current faults. They also apply to open watches. None at first. */
  faults: Faults;
  /** Breaks all open connections, or only those of the open watches of a collection. */
  cut(watched?: string): void;
  stop(): Promise<void>;
}

/**
 * Starts a proxy in front of a test cluster. It terminates TLS with the API server's own certificate, which it finds in the
 * folder of the cluster, so that the operator needs no other root. It forwards credentials.
 */
export async function startProxy(cluster: TestCluster): Promise<FaultyProxy> {
  const certificates = join(cluster.dir, 'certificates');
  const cert = readFileSync(join(certificates, 'apiserver.crt'));
  const key = readFileSync(join(certificates, 'apiserver.key'));
  const upstream = new Agent({ keepAlive: true, ca: cert });
  /** The open watches and the paths of their collections. */
  const watches = new Map<ServerResponse, string>();

  async function relay(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', cluster.server);
    const exchange: Exchange = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      isWatch: url.searchParams.get('watch') === 'true',
      accept: incoming.headers.accept ?? '',
    };
    if (exchange.isWatch) {
      watches.set(outgoing, exchange.path);
      outgoing.on('close', () => watches.delete(outgoing));
    }
    const body = await readAll(incoming);
    const decision = (await proxy.faults.onRequest?.(exchange)) ?? 'pass';
    if (decision === 'break') return breakConnection(outgoing);
    if (decision !== 'pass') {
      outgoing.writeHead(decision.status, { 'content-type': 'application/json', ...decision.headers });
      outgoing.end(JSON.stringify(decision.body));
      return;
    }
    const reply = await forward(url, incoming, body, outgoing);
    if ((await proxy.faults.onReply?.(exchange, reply.statusCode ?? 0)) === 'break') return breakConnection(outgoing);
    outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
    outgoing.flushHeaders();
    for await (const chunk of reply) {
      if (exchange.isWatch) await proxy.faults.onEvents?.(exchange, String(chunk));
      outgoing.write(chunk);
    }
    outgoing.end();
  }

  function forward(url: URL, { method, headers }: IncomingMessage, body: Buffer, outgoing: ServerResponse) {
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpsRequest(url, { agent: upstream, method, headers }, resolve);
      request.on('error', reject);
      // The client has hung up: without this, the API server would keep the watch open.
      outgoing.on('close', () => request.destroy());
      request.end(body);
    });
  }

  const listener = createServer({ cert, key, keepAliveTimeout: 0, requestTimeout: 0 }, (incoming, outgoing) => {
    // The API server is not running, or one side has hung up: break the connection of the other side.
    relay(incoming, outgoing).catch(() => breakConnection(outgoing));
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const proxy: FaultyProxy = {
    server: `https://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    faults: {},
    cut(watched) {
      if (watched === undefined) return listener.closeAllConnections();
      for (const [outgoing, path] of watches) if (path === watched) breakConnection(outgoing);
    },
    async stop() {
      const closed = new Promise((resolve) => listener.close(resolve));
      listener.closeAllConnections();
      upstream.destroy();
      await closed;
    },
  };
  return proxy;
}

/** Records the requests that the proxy gets from now on. All of them pass. */
export function recordRequests(proxy: FaultyProxy): readonly Exchange[] {
  const seen: Exchange[] = [];
  proxy.faults = {
    onRequest(exchange) {
      seen.push(exchange);
      return 'pass';
    },
  };
  return seen;
}

async function readAll(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function breakConnection(outgoing: ServerResponse): void {
  outgoing.socket?.destroy();
}
