// Connects the node's network with the machine's, through sockets in a folder that both see. It runs twice:
//
//   relay.ts machine API_SOCKET HOST:PORT       on the machine: each connection to the socket goes to the API server
//   relay.ts node API_SOCKET PROXY HOST:PORT... in the node: each connection to one of the addresses goes to the API server's
//                                               socket, and PROXY is the socket of an HTTP proxy into the node's network

import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net';

import { joinStreams } from './streams.ts';

const [side, apiSocket = '', ...rest] = process.argv.slice(2);

if (side === 'machine') forward(apiSocket, addressOf(rest[0] ?? ''));
else if (side === 'node') {
  const [proxy = '', ...addresses] = rest;
  for (const address of addresses) forward(addressOf(address), { path: apiSocket });
  proxyInto(proxy);
} else throw new Error(`unknown side ${side}`);

function addressOf(text: string): { host: string; port: number } {
  const { hostname, port } = new URL(`tcp://${text}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** Sends each connection to `from` on to `to`. */
function forward(from: string | { host: string; port: number }, to: NetConnectOpts): void {
  const server = createServer({ allowHalfOpen: true }, (socket) =>
    joinStreams(socket, connect({ ...to, allowHalfOpen: true })),
  );
  server.listen(typeof from === 'string' ? { path: from } : from);
}

/** Answers CONNECT requests, which is how the API server reaches kubelet and pods. */
function proxyInto(path: string): void {
  const server = createHttpServer();
  server.on('connect', (request, socket: Socket, head) => {
    const target = connect({ ...addressOf(request.url ?? ''), allowHalfOpen: true });
    target.once('connect', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      target.write(head);
      joinStreams(socket, target);
    });
    target.once('error', (error) => {
      socket.end(`HTTP/1.1 502 Bad Gateway\r\n\r\n${error.message}`);
    });
    socket.on('error', () => target.destroy());
  });
  server.listen(path);
}
