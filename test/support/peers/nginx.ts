import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { scratchFolder } from '../scratch.ts';
import type { RunningServer, ServerPeer } from './peer.ts';
import { startProgram, succeeds } from './process.ts';

/** nginx as one process in the foreground, with a folder of its own for everything it writes. */
export const nginxServer: ServerPeer = {
  name: 'nginx',
  followsFolder: false,
  missing: () => (succeeds(['nginx', '-v']) ? null : 'nginx is not installed (Debian: apt-get install nginx)'),
  async start(folder, { port, crlFolder } = {}) {
    if (port !== undefined) return startNginx(folder, crlFolder, port);
    // nginx cannot choose a port itself, and a free one may be taken before it gets there.
    for (let attempt = 1; ; attempt++) {
      try {
        return await startNginx(folder, crlFolder, await freePort());
      } catch (error) {
        if (attempt === 3 || !/Address already in use/.test(String(error))) throw error;
      }
    }
  },
};

async function startNginx(folder: string, crlFolder: string | undefined, port: number): Promise<RunningServer> {
  const prefix = await scratchFolder('nginx');
  const removePrefix = async (): Promise<void> => rm(prefix, { recursive: true, force: true });
  try {
    await writeFile(join(prefix, 'nginx.conf'), configuration(folder, crlFolder, prefix, port));
    const command = ['nginx', '-p', prefix, '-e', 'stderr', '-c', 'nginx.conf'] as const;
    const server = await startProgram(command, /using the "\w+" event method/);
    const stop = async (): Promise<void> => {
      await server.stop();
      await removePrefix();
    };
    return { port, log: server.log, stop };
  } catch (error) {
    await removePrefix();
    throw error;
  }
}

const configuration = (folder: string, crlFolder: string | undefined, prefix: string, port: number): string => `
daemon off;
master_process off;
pid ${prefix}/nginx.pid;
error_log stderr info;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${prefix}/${what};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${folder}/tls.crt;
    ssl_certificate_key ${folder}/tls.key;
    ssl_client_certificate ${folder}/ca.crt;
    ${crlFolder === undefined ? '' : `ssl_crl ${crlFolder}/ca.crl;`}
    ssl_verify_client on;
    ssl_verify_depth 8;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      return 200 $ssl_client_raw_cert;
    }
  }
}
`;

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const probe = createServer().on('error', reject);
  probe.listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return promise;
}
