import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { missing } from '../missing.ts';
import { filled, wholePage } from '../page.ts';
import { scratchFolder } from '../scratch.ts';
import type { RunningServer, ServerPeer } from './peer.ts';
import { startProgram } from './process.ts';

/** nginx in the foreground with the server block of the documentation, and its own folder for all files that it writes. */
export const nginxServer: ServerPeer = {
  name: 'nginx',
  followsFolder: false,
  missing: missing.nginx,
  async start(folder, { port, crlFolder } = {}) {
    if (port !== undefined) return startNginx(folder, crlFolder, port);
    // nginx cannot choose a port itself, and another process may take a free port first.
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
    const configuration = nginxConfiguration({ folder, crlFolder, prefix, address: `127.0.0.1:${port}` });
    await writeFile(join(prefix, 'nginx.conf'), configuration);
    const command = ['nginx', '-p', prefix, '-e', 'stderr', '-c', 'nginx.conf', '-g', 'daemon off;'] as const;
    const server = await startProgram(command, /start worker process \d+/, { workers: true });
    const stop = async (): Promise<void> => {
      await server.stop();
      await removePrefix();
    };
    // Wait for the old worker: until it exits, it may accept new connections.
    const reload = (): Promise<void> => server.reload(/worker process \d+ exited with code 0/);
    return { port, log: server.log, reload, stop };
  } catch (error) {
    await removePrefix();
    throw error;
  }
}

export interface NginxFolders {
  /** The folder of the Secret. */
  readonly folder: string;
  readonly crlFolder?: string | undefined;
  /** The folder for all files that nginx writes. */
  readonly prefix: string;
  /** HOST:PORT. */
  readonly address: string;
}

/** nginx.conf with the server block of the documentation. */
export const nginxConfiguration = ({ folder, crlFolder, prefix, address }: NginxFolders): string => `
pid ${prefix}/nginx.pid;
error_log stderr info;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${prefix}/${kind};`).join('\n  ')}
  ${serverBlock(folder, crlFolder, address)}
}
`;

/** The server block of the page. To check CRLs, it needs one more line. */
function serverBlock(folder: string, crlFolder: string | undefined, address: string): string {
  const block = wholePage('docs/how-to/stacks/nginx.md').file('nginx.conf');
  const filledIn = filled(block, { '8443': address, '/tls/': `${folder}/` });
  if (crlFolder === undefined) return filledIn;
  return filledIn.replace('ssl_verify_client on;', `ssl_verify_client on;\n    ssl_crl ${crlFolder}/ca.crl;`);
}
