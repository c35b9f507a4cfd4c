/**
 * Mutual TLS from a mounted Secret, with Node's tls.
 *
 *     peer.ts server FOLDER PORT
 *     peer.ts client PORT SERVER-NAME CA-FOLDER [FOLDER]
 *
 * The server answers with the client's certificate; the client prints the server's certificate, then the answer.
 * It ends with code 1 when one side refused the other, with 2 when there is no server.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { type SecureContextOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';

const read = (folder: string, name: string): Buffer => readFileSync(join(folder, name));
const roots = (folder: string): SecureContextOptions => ({ ca: read(folder, 'ca.crt') });
const keyPair = (folder: string): SecureContextOptions => ({
  cert: read(folder, 'tls.crt'),
  key: read(folder, 'tls.key'),
});

async function serve(folder: string, port: string): Promise<void> {
  const server = createServer({ requestCert: true, rejectUnauthorized: true }, (request, response) => {
    response.setHeader('Connection', 'close').end(peerCertificate(request.socket as TLSSocket));
  });
  // Before the server's own listener: the handshake uses what the folder holds now.
  server.prependListener('connection', () => server.setSecureContext({ ...roots(folder), ...keyPair(folder) }));
  server.on('tlsClientError', (error) => console.error(error.message));
  server.listen(Number(port), '127.0.0.1');
  await once(server, 'listening');
  console.log(`listening on 127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function exchange(port: string, serverName: string, caFolder: string, folder?: string): Promise<void> {
  const options = { servername: serverName, ...roots(caFolder), ...(folder === undefined ? {} : keyPair(folder)) };
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  try {
    const connection = tlsConnect({ ...options, socket });
    await once(connection, 'secureConnect');
    process.stdout.write(peerCertificate(connection));
    connection.write(`GET / HTTP/1.1\r\nHost: ${serverName}\r\nConnection: close\r\n\r\n`);
    for await (const chunk of connection) process.stdout.write(chunk as Buffer);
  } catch (error) {
    console.error('refused:', error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

function peerCertificate(connection: TLSSocket): string {
  return connection.getPeerX509Certificate()?.toString() ?? '';
}

const [role, ...args] = process.argv.slice(2);
try {
  if (role === 'server') await serve(...(args as [string, string]));
  else await exchange(...(args as [string, string, string, string?]));
} catch (error) {
  console.error(error);
  process.exitCode = 2;
}
