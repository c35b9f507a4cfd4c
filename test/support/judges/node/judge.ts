// Checks certificates with Node's tls, one question a line, see program.ts. Each check is a real handshake in memory.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, createServer } from 'node:tls';

function credentials(folder: string) {
  return { cert: readFileSync(join(folder, 'tls.crt')), key: readFileSync(join(folder, 'tls.key')) };
}

/** Presents the certificate as a server or a client. Throws if the other end refuses it. */
async function handshake(folder: string, trust: string, usage: string, host: string | undefined): Promise<void> {
  const ca = readFileSync(trust);
  const isClients = usage === 'client';
  const [clientEnd, serverEnd] = duplexPair();
  const server = createServer({ ...credentials(folder), ca, requestCert: isClients, rejectUnauthorized: isClients });
  const accepted = once(server, 'secureConnection');
  const refusedByServer = once(server, 'tlsClientError').then(([error]) => error as Error);
  server.emit('connection', serverEnd);
  const client = connect({
    socket: clientEnd,
    rejectUnauthorized: !isClients,
    ...(isClients ? credentials(folder) : { ca }),
    ...(host === undefined ? { checkServerIdentity: () => undefined } : { host }),
    ...(host === undefined || isIP(host) > 0 ? {} : { servername: host }),
  });
  const refusedByClient = once(client, 'secureConnect').then(
    () => undefined,
    (error: unknown) => error as Error,
  );
  try {
    const refusal = await (isClients
      ? Promise.race([accepted.then(() => undefined), refusedByServer])
      : refusedByClient);
    if (refusal !== undefined) throw refusal;
  } finally {
    client.on('error', () => undefined).destroy();
    serverEnd.destroy();
  }
}

async function answer(kind = '', folder = '', trust = '', usage = '', name = ''): Promise<[string, string]> {
  try {
    if (kind === 'key') createSecureContext(credentials(folder));
    else await handshake(folder, trust, usage, name === '' ? undefined : name.slice(name.indexOf(':') + 1));
    return ['yes', ''];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return ['no', error.message.replaceAll('\n', ' ')];
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [id, ...fields] = line.split('\t');
  console.log([id, ...(await answer(...fields))].join('\t'));
}
