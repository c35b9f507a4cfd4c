import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { missing } from '../missing.ts';
import { filled, wholePage } from '../page.ts';
import { run, startProgram } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';
import { asClient } from './client-command.ts';
import type { Client, Outcome, Stack } from './stack.ts';

const page = wholePage('docs/how-to/stacks/redis.md');

/** Output of redis-cli if one side refuses the other: OpenSSL's errors, or a closed connection. */
const refusal = /SSL|alert|certificate|Server closed the connection|Connection reset/;

/** Redis with redis-cli as the client. */
export const redisStack: Stack = {
  name: 'Redis',
  page: 'redis',
  certificate: 'cache',
  checksServerName: false,
  missing: missing.redis,
  async start(site) {
    const data = await scratchFolder('redis');
    const port = await freePort();
    const socket = join(data, 'redis.sock');
    const reload = async (): Promise<void> => {
      const command = filled(reloadCommand(), { '/tmp/redis.sock': socket, '/tls/': `${mount.folder}/` });
      const { stdout, stderr } = await run(['bash', '-c', command]);
      if (stdout.trim() !== 'OK') throw new Error(`Redis does not reload: ${stdout}${stderr}`);
    };
    let serves = false;
    const mount = await site.mount('cache-server-tls', { reload: async () => (serves ? reload() : undefined) });
    await writeFile(
      join(data, 'redis.conf'),
      filled(page.file('redis.conf'), {
        6379: String(port),
        '/tls/': `${mount.folder}/`,
        '/tmp/redis.sock': socket,
      }),
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

/** The command in the loop of the Deployment. */
function reloadCommand(): string {
  const [, command] = /(redis-cli -e -s [^]*?) && loaded/.exec(page.file('redis.yaml')) ?? [];
  assert.ok(command !== undefined, 'the Deployment does not reload Redis');
  return command;
}

let written = 0;

/** Writes a value and reads it. */
async function connect(client: Client, port: number): Promise<Outcome> {
  const value = `hello-${++written}`;
  const answer = await asClient(client, page.command('redis-cli'), {
    values: here(port),
    own: / --cert \S+ --key \S+/,
    input: `SET greeting ${value}\nGET greeting\n`,
    refusal,
  });
  if (answer.ok && answer.stdout !== `OK\n${value}\n`) throw new Error(`redis-cli answers: ${answer.stdout}`);
  return answer.ok ? { ok: true } : answer;
}
