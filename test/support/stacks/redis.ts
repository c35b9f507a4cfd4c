import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { missing } from '../missing.ts';
import { filled, section } from '../page.ts';
import { startProgram } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';
import { asClient } from './client-command.ts';
import type { Client, Outcome, Stack } from './stack.ts';

const page = section('docs/stacks.md', 'Redis');

/** Output of redis-cli if one side refuses the other: OpenSSL's errors, or a closed connection. */
const refusal = /SSL|alert|certificate|Server closed the connection|Connection reset/;

/** Redis with redis-cli as the client. */
export const redisStack: Stack = {
  name: 'Redis',
  certificate: 'cache',
  checksServerName: false,
  missing: missing.redis,
  async start(site) {
    const data = await scratchFolder('redis');
    const port = await freePort();
    const own = await site.mount('cache-client-tls');
    // The administrator of the server reloads it with a client certificate.
    const reload = async (): Promise<void> => {
      const [, command = ''] = page.commands;
      const administrator = { caFolder: own.folder, folder: own.folder };
      // The server loads its own files, not those of the administrator.
      const loads = command.replaceAll(/tls-(cert|key|ca-cert)-file \/tls/g, `tls-$1-file ${mount.folder}`);
      const answer = await own.undisturbed(() => asClient(administrator, loads, { values: here(port), refusal }));
      if (!answer.ok || answer.stdout.trim() !== 'OK')
        throw new Error(`Redis does not reload: ${JSON.stringify(answer)}`);
    };
    let serves = false;
    const mount = await site.mount('cache-server-tls', { reload: async () => (serves ? reload() : undefined) });
    await writeFile(
      join(data, 'redis.conf'),
      filled(page.file('redis.conf'), { 6379: String(port), '/tls/': `${mount.folder}/` }),
    );
    const command = [
      'redis-server',
      join(data, 'redis.conf'),
      '--bind',
      '127.0.0.1',
      '--dir',
      data,
      '--save',
      '',
    ] as const;
    const server = await startProgram(command, /Ready to accept connections/);
    serves = true;
    return {
      ports: [port],
      connect: (client) => connect(client, port),
      async stop() {
        await server.stop();
        await rm(data, { recursive: true, force: true });
      },
    };
  },
};

const here = (port: number) => ({ 'cache.shop.svc': '127.0.0.1', 6379: String(port) });

let written = 0;

/** Writes a value and reads it. */
async function connect(client: Client, port: number): Promise<Outcome> {
  const [command = ''] = page.commands;
  const value = `hello-${++written}`;
  const answer = await asClient(client, command, {
    values: here(port),
    own: / --cert \S+ --key \S+/,
    input: `SET greeting ${value}\nGET greeting\n`,
    refusal,
  });
  if (answer.ok && answer.stdout !== `OK\n${value}\n`) throw new Error(`redis-cli answers: ${answer.stdout}`);
  return answer.ok ? { ok: true } : answer;
}
