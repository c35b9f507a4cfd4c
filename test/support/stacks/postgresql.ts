import { globSync } from 'node:fs';
import { chown, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { missing } from '../missing.ts';
import { filled, wholePage } from '../page.ts';
import { type Command, run, startProgram, succeeds } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';
import { asClient } from './client-command.ts';
import type { Client, Outcome, RunningStack, Stack } from './stack.ts';

const page = wholePage('docs/how-to/stacks/postgresql.md');

/** Output of libpq if the server refuses the client's certificate, or the client refuses the server's. */
const refusal = /SSL error|certificate|server closed the connection unexpectedly/;

/** PostgreSQL with psql as the client. */
export const postgresqlStack: Stack = {
  name: 'PostgreSQL',
  page: 'postgresql',
  certificate: 'db',
  checksServerName: true,
  missing: () =>
    folderOfPrograms() === undefined
      ? 'the server of PostgreSQL is not installed (Debian: apt-get install postgresql)'
      : missing.psql(),
  async start(site) {
    const account = await serverAccount();
    const data = await scratchFolder('postgresql');
    let server: Awaited<ReturnType<typeof startProgram>> | undefined;
    const mount = await site.mount('db-server-tls', {
      ...(account === undefined ? {} : { group: account.group }),
      reload: async () => server?.reload(/reloading configuration files/),
    });
    const removeData = async (): Promise<void> => rm(data, { recursive: true, force: true });
    try {
      if (account !== undefined) await chown(data, account.user, account.group);
      await makeDatabase(data, mount.folder, account);
      const port = await freePort();
      const here = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-p', String(port)];
      const postgres = as(account, ['postgres', '-D', data, ...here]);
      server = await startProgram(postgres, /database system is ready to accept connections/, { cwd: '/' });
      const { stop } = server;
      return {
        ports: [port],
        startsTlsBy: 'postgres',
        connect: (client) => connect(client, port),
        async stop() {
          await stop();
          await removeData();
        },
      } satisfies RunningStack;
    } catch (error) {
      await removeData();
      throw error;
    }
  },
};

/** Queries the server for the client's certificate. */
async function connect(client: Client, port: number): Promise<Outcome> {
  const query =
    'SELECT usename, client_serial FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE pid = pg_backend_pid()';
  const answer = await asClient(client, `${page.command('psql')} --no-psqlrc --csv --tuples-only`, {
    values: client.looksForAnother === true ? { 'db.shop.svc': 'another.shop.svc' } : {},
    own: / sslcert=\S+ sslkey=[^\s"]+/,
    env: { PGHOSTADDR: '127.0.0.1', PGPORT: String(port), HOME: '/nonexistent' },
    input: query,
    refusal,
  });
  if (!answer.ok) return answer;
  const [user, serial = ''] = answer.stdout.trim().split(',');
  if (user !== 'app') throw new Error(`psql answers: ${answer.stdout}`);
  return { ok: true, sawSerial: hexOf(BigInt(serial)) };
}

const hexOf = (serial: bigint): string => {
  const digits = serial.toString(16);
  return digits.padStart(digits.length + (digits.length % 2), '0');
};

/** A database cluster with the files of the page, and the user and database of its command. */
async function makeDatabase(data: string, tls: string, account: Account | undefined): Promise<void> {
  await must(as(account, ['initdb', '-D', data, '--username=postgres', '--auth=reject', '--no-sync', '--no-locale']));
  await must(as(account, ['postgres', '--single', '-D', data, 'postgres']), page.file('app.sql'));
  const settings = await readFile(join(data, 'postgresql.conf'), 'utf8');
  await writeFile(
    join(data, 'postgresql.conf'),
    settings + filled(page.file('postgresql.conf'), { '/tls/': `${tls}/` }),
  );
  await writeFile(join(data, 'pg_hba.conf'), page.file('pg_hba.conf'));
}

async function must(command: Command, input = ''): Promise<void> {
  const { code, stderr } = await run(command, { input, cwd: '/' });
  if (code !== 0) throw new Error(`${command.join(' ')} failed:\n${stderr}`);
}

/** The programs of the server, which Debian does not put on PATH. */
function folderOfPrograms(): string | undefined {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'initdb'));
  const [found] = globSync([...onPath, '/usr/lib/postgresql/*/bin/initdb']);
  return found === undefined ? undefined : dirname(found);
}

interface Account {
  readonly user: number;
  readonly group: number;
}

/** The account of the server, which must not run as root. Undefined if this process is not root. */
async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const name = succeeds(['id', 'postgres']) ? 'postgres' : 'daemon';
  const number = async (flag: string): Promise<number> => Number((await run(['id', flag, name])).stdout);
  return { user: await number('-u'), group: await number('-g') };
}

/** A command of the server's programs, run as this account. */
function as(account: Account | undefined, [program, ...args]: Command): Command {
  const path = join(folderOfPrograms() ?? '', program);
  if (account === undefined) return [path, ...args];
  const { user, group } = account;
  return ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', path, ...args];
}
