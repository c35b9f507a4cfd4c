/**
 * Mutual TLS from a mounted Secret, with Node's tls.
 *
 *     peer.ts [-crl FOLDER] server FOLDER PORT
 *     peer.ts [-crl FOLDER] client PORT SERVER-NAME CA-FOLDER [FOLDER]
 *     peer.ts clients JSON
 *
 * PORT is a port of 127.0.0.1, or HOST:PORT.
 * With -crl, the folder must have a CRL of the issuer of the other side's certificate, without its serial number.
 * The server responds with the client's certificate. The client prints the server's certificate, then the response.
 * The exit code is 1 if one side refused the other, and 2 if there is no server. The clients are in clients.ts.
 */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

import { runClients } from './clients.ts';
import { exchange, peerCertificate, RefusedError, socketAddress } from './exchange.ts';
import { checkCrlsIn, readCrls, readRoots, readSecret } from './secret.ts';

async function serve(folder: string, port: string): Promise<void> {
  const server = createServer({ requestCert: true, rejectUnauthorized: true }, (request, response) => {
    response.setHeader('Connection', 'close').end(peerCertificate(request.socket as TLSSocket));
  });
  // Runs before the server's own listener, so that the handshake uses the current content of the folder.
  server.prependListener('connection', () => server.setSecureContext(readSecret(folder)));
  server.on('tlsClientError', (error) => console.error(error.message));
  server.listen(socketAddress(port));
  await once(server, 'listening');
  const { address, port: ownPort } = server.address() as AddressInfo;
  console.log(`listening on ${address}:${ownPort}`);
}

async function connect(port: string, serverName: string, caFolder: string, folder?: string): Promise<void> {
  const ca = readRoots(caFolder);
  const own = folder === undefined ? {} : readSecret(folder);
  try {
    process.stdout.write(await exchange(port, serverName, { ...own, ca, ...readCrls() }));
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    console.error('refused:', error.message);
    process.exitCode = 1;
  }
}

const argv = process.argv.slice(2);
const crlFolder = argv[0] === '-crl' ? argv[1] : undefined;
const [role, ...args] = crlFolder === undefined ? argv : argv.slice(2);
if (crlFolder !== undefined) checkCrlsIn(crlFolder);
try {
  if (role === 'server') await serve(...(args as [string, string]));
  else if (role === 'clients') await runClients(...(args as [string]));
  else await connect(...(args as [string, string, string, string?]));
} catch (error) {
  console.error(error);
  process.exitCode = 2;
}
