import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';

import { type ReleaseFile, releasesFor } from '../../tools/controlplane/releases.ts';

/** Answers a request for a file instead of sending the file. */
export type Answer = (response: ServerResponse, content: Buffer) => void;

/** A server with the layout of the release servers of Kubernetes (below /kubernetes) and etcd (below /etcd). */
export interface ReleaseServer {
  readonly origin: string;
  /** KUBERNETES_MIRROR and ETCD_MIRROR. */
  readonly environment: Readonly<Record<string, string>>;
  /** The paths that were requested, in order, without /kubernetes and /etcd. */
  readonly requests: string[];
  /** The content by path. */
  readonly contents: Map<string, Buffer>;
  /** Special answers, by the end of the path. */
  readonly answers: Map<string, Answer>;
  close(): void;
}

export interface ReleaseServerOptions {
  /** The files of the release, by their path. */
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Starts a server for these files and their checksums. It is also an HTTP proxy to itself, whatever the host of the request. */
export async function startReleaseServer({ contents, tls }: ReleaseServerOptions): Promise<ReleaseServer> {
  const served = new Map([...contents, ...checksumsOf(contents)]);
  const answers = new Map<string, Answer>();
  const requests: string[] = [];
  const listener: RequestListener = ({ url = '' }, response) => {
    const path = new URL(url, 'http://localhost').pathname.replace(/^\/(kubernetes|etcd)\//, '');
    requests.push(path);
    const content = served.get(path);
    const answer = [...answers].find(([end]) => path.endsWith(end))?.[1];
    if (answer !== undefined) answer(response, content ?? Buffer.alloc(0));
    else if (content === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-length': content.length }).end(content);
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on('connect', (_request, socket) => {
    const upstream = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const origin = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    environment: { KUBERNETES_MIRROR: `${origin}/kubernetes`, ETCD_MIRROR: `${origin}/etcd/` },
    requests,
    contents: served,
    answers,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The official files for Linux on this architecture, by its name in Node.js. */
export function officialFiles(arch = process.arch as string): readonly ReleaseFile[] {
  const releases = releasesFor({ platform: 'linux', arch }, {});
  if (releases === undefined) throw new Error(`there are no official files for ${arch}`);
  return releases.files;
}

/** As upstream: a file with the bare checksum for each file of Kubernetes, one list for all archives of etcd. */
function checksumsOf(contents: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  const checksums = new Map<string, Buffer>();
  for (const [path, content] of contents) {
    const hex = createHash('sha256').update(content).digest('hex');
    const slash = path.lastIndexOf('/');
    if (path.endsWith('.tar.gz')) {
      const list = `${path.slice(0, slash)}/SHA256SUMS`;
      const before = checksums.get(list)?.toString() ?? '';
      checksums.set(list, Buffer.from(`${before}${hex}  ${path.slice(slash + 1)}\n`));
    } else {
      checksums.set(`${path}.sha256`, Buffer.from(hex));
    }
  }
  return checksums;
}
