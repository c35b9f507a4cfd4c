import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { missing } from '../missing.ts';
import { scratchFile } from '../openssl.ts';
import { scratchFolder } from '../scratch.ts';
import { addressOf, type ClientPeer, pemCertificates, readOutcome, type ServerPeer } from './peer.ts';
import { run, startProgram } from './process.ts';

/** `openssl s_server`. With -www it responds with a page that contains the client's certificate. */
export const opensslServer: ServerPeer = {
  name: 'openssl s_server',
  followsFolder: false,
  missing: missing.openssl,
  async start(folder, { port = 0, crlFolder } = {}) {
    const listen = ['s_server', '-www', '-accept', `127.0.0.1:${port}`];
    const trust = await trusting(folder, crlFolder);
    const verify = ['-Verify', '8', '-verify_return_error', '-x509_strict', ...trust];
    return withCredentials(folder, async (credentials) => {
      const server = await startProgram(['openssl', ...listen, ...verify, ...credentials], /^ACCEPT .*:(\d+)$/m);
      return { port: Number(server.announcement[1]), log: server.log, stop: server.stop };
    });
  },
};

/** `openssl s_client`. */
export const opensslClient: ClientPeer = {
  name: 'openssl s_client',
  missing: missing.openssl,
  async connect({ port, serverName, caFolder, folder, crlFolder }) {
    const connect = ['s_client', '-ign_eof', '-connect', addressOf(port), '-servername', serverName];
    const trust = await trusting(caFolder, crlFolder);
    const verify = ['-verify_hostname', serverName, '-verify_return_error', '-x509_strict', ...trust];
    const input = `GET / HTTP/1.1\r\nHost: ${serverName}\r\nConnection: close\r\n\r\n`;
    const finished = await withCredentials(folder, async (credentials) =>
      run(['openssl', ...connect, ...verify, ...credentials], { input }),
    );
    if (finished.stderr.includes('connect:errno')) throw new Error(`openssl s_client: ${finished.stderr}`);
    return readOutcome(finished);
  },
};

// -CRL reads only the first CRL of its file. The file of -CAfile may contain several, in addition to the roots.
async function trusting(folder: string, crlFolder: string | undefined): Promise<string[]> {
  const others = ['-no-CApath', '-no-CAstore'];
  const roots = join(folder, 'ca.crt');
  if (crlFolder === undefined) return ['-CAfile', roots, ...others];
  const [bundle, crls] = await Promise.all([readFile(roots, 'utf8'), readFile(join(crlFolder, 'ca.crl'), 'utf8')]);
  return ['-CAfile', scratchFile(bundle + crls), '-crl_check', ...others];
}

// -cert reads only the first certificate of its file: write the intermediates to a separate file.
async function withCredentials<T>(
  folder: string | undefined,
  use: (args: readonly string[]) => Promise<T>,
): Promise<T> {
  if (folder === undefined) return use([]);
  const certificate = join(folder, 'tls.crt');
  const own = ['-cert', certificate, '-key', join(folder, 'tls.key')];
  const [, ...intermediates] = pemCertificates(await readFile(certificate, 'utf8'));
  if (intermediates.length === 0) return use(own);
  const scratch = await scratchFolder('chain');
  try {
    const chain = join(scratch, 'chain.crt');
    await writeFile(chain, intermediates.join('\n'));
    return await use([...own, '-cert_chain', chain]);
  } finally {
    await rm(scratch, { recursive: true });
  }
}
