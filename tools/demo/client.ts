// The demo's client: mutual TLS from a mounted Secret or pod certificate.
//
//     node tools/demo/client.ts [--host HOST] --port PORT --server-name NAME --trust FOLDER [--identity FOLDER] [--every MS]
//
// It verifies the server with ca.crt from the folder --trust, and presents the certificate from the folder --identity. It
// connects once, or every MS milliseconds with the current files, and prints a line of JSON for each connection.

import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';

import { followIdentity, holderOf, type Identity, readIdentity } from './identity.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '' },
    'server-name': { type: 'string', default: '' },
    trust: { type: 'string', default: '.' },
    identity: { type: 'string' },
    every: { type: 'string' },
  },
});

let { ca } = readIdentity(values.trust);
let own: Identity | undefined = values.identity === undefined ? undefined : readIdentity(values.identity);

async function call(): Promise<object> {
  const shown = own === undefined ? {} : { cert: own.cert, key: own.key };
  try {
    const connection = connect({
      host: values.host,
      port: Number(values.port),
      servername: values['server-name'],
      ca,
      ...shown,
    });
    await once(connection, 'secureConnect');
    const server = holderOf(connection.getPeerX509Certificate());
    const protocol = connection.getProtocol();
    // In TLS 1.3 the handshake of the client ends before the server has verified it. Only an answer proves acceptance.
    const answer = await text(connection);
    if (answer === '') return { refused: { message: 'the server closed the connection' } };
    return { accepted: { protocol, server, client: JSON.parse(answer) as object } };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { refused: { message, code } };
  }
}

const print = (event: object): void => console.log(JSON.stringify(event));
if (values.every === undefined) {
  print(await call());
} else {
  followIdentity(values.trust, (identity) => ({ ca } = identity));
  if (values.identity !== undefined) followIdentity(values.identity, (identity) => (own = identity));
  for (;;) {
    print(await call());
    await delay(Number(values.every));
  }
}
