// The demo's server: mutual TLS from a mounted Secret or pod certificate.
//
//     node tools/demo/server.ts FOLDER [ADDRESS]
//
// ADDRESS is host:port, by default a free port of 127.0.0.1.
// It answers each client with the names in the client's certificate. When the Secret changes, open connections continue and
// new ones get the new certificate. It prints a line of JSON for each event.

import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';

import { followIdentity, holderOf, readIdentity } from './identity.ts';

const [folder = '.', address = '127.0.0.1:0'] = process.argv.slice(2);
const [host, port] = address.split(':');
const print = (event: object): void => console.log(JSON.stringify(event));

const options = { ...readIdentity(folder), requestCert: true, rejectUnauthorized: true };
const server = createServer(options, (connection) => {
  connection.on('error', () => {});
  const client = holderOf(connection.getPeerX509Certificate());
  print({ accepted: client });
  connection.end(JSON.stringify(client));
});
server.on('tlsClientError', ({ message, code }: NodeJS.ErrnoException, { authorizationError }) => {
  // If the certificate was invalid, the error only says that the connection ended.
  print({ refused: { message: authorizationError ?? message, code } });
});

followIdentity(folder, (identity) => {
  server.setSecureContext(identity);
  print({ reloaded: holderOf(new X509Certificate(identity.cert)) });
});

server.listen(Number(port), host, () => print({ port: (server.address() as AddressInfo).port }));
