import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { startOperatorProgram, waitForOperator, writeOperatorKubeconfig } from '../../../tools/operator.ts';
import type { LogLine, Program } from '../../../tools/program.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

/** Shorter than the 30 s after which the operator gives up a request, much longer than a clean stop. */
const longestEndMs = 25_000;

const world = installation({ operator: false });

let started = 0;

/** Starts the operator with a kubeconfig for `server` and this token; by default the operator's own token. */
async function start(server: string | undefined, token?: string): Promise<Program> {
  const kubeconfig = join(world.cluster.dir, `shutdown-${++started}.kubeconfig`);
  await writeOperatorKubeconfig(kubeconfig, (args) => world.cluster.kubectl(args), server);
  if (token !== undefined) {
    const config = JSON.parse(readFileSync(kubeconfig, 'utf8')) as { users: { user: object }[] };
    for (const user of config.users) user.user = { token };
    writeFileSync(kubeconfig, JSON.stringify(config));
  }
  const program = startOperatorProgram(
    { args: [`--kubeconfig=${kubeconfig}`] },
    { env: { POD_NAME: `shutdown-${started}` } },
  );
  await waitForOperator(program, { untilReady: false });
  return program;
}

const logs = (program: Program, message: string): Promise<LogLine> =>
  eventually(() => {
    const line = program.lines.find((logged) => logged['message'] === message);
    assert.ok(line, `no line ${JSON.stringify(message)}:\n${program.tail()}`);
    return line;
  });

/** Sends SIGTERM. Asserts that the operator exits in time with code 0, after its last log line. */
async function assertEnds(program: Program, withinMs = longestEndMs): Promise<void> {
  const late = setTimeout(() => void program.kill(), withinMs);
  const exit = await program.stop();
  clearTimeout(late);
  assert.deepEqual(exit, { code: 0, signal: null }, `the operator did not exit cleanly:\n${program.tail()}`);
  assert.equal(program.lines.at(-1)?.['message'], 'stopped', program.tail());
}

describe('An operator exits with code 0 within seconds of SIGTERM', () => {
  it('if its API server refuses connections', async () => {
    const program = await start(`https://127.0.0.1:${await closedPort()}`);
    await logs(program, 'a list or watch failed; retrying');
    await assertEnds(program);
  });

  it('if its API server accepts connections but does not respond', async (t) => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    t.after(() => {
      silent.close();
      for (const socket of sockets) socket.destroy();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const connected = new Promise((resolve) => silent.once('connection', resolve));
    const program = await start(`https://127.0.0.1:${port}`);
    await connected;
    // undici itself gives up such a connection after ten seconds.
    await assertEnds(program, 9_000);
  });

  it('if its token has no permissions', async () => {
    const namespace = await world.cluster.namespace('powerless');
    const token = await world.cluster.kubectl(['create', 'token', 'default', '--namespace', namespace]);
    const program = await start(undefined, token.trim());
    const { code } = await logs(program, 'a list or watch failed; retrying');
    assert.equal(code, 'Forbidden');
    await assertEnds(program);
  });

  it('while it waits for the response to a list', async (t) => {
    const requested = Promise.withResolvers<void>();
    world.proxy.faults = {
      onRequest({ path }) {
        if (!path.endsWith('/mtlscertificates')) return 'pass';
        requested.resolve();
        return new Promise(() => {});
      },
    };
    t.after(() => {
      world.proxy.faults = {};
    });
    const program = await start(world.proxy.server);
    await requested.promise;
    await assertEnds(program);
  });

  it('as a standby and as the leader', async () => {
    const leader = await start(undefined);
    await logs(leader, 'became the leader');
    const standby = await start(undefined);
    await logs(standby, 'caches are filled');
    await assertEnds(standby);
    await assertEnds(leader);
  });

  it('as the leader when the API server stops responding', async () => {
    const program = await start(world.proxy.server);
    await logs(program, 'became the leader');
    world.proxy.faults = { onRequest: () => new Promise(() => {}) };
    // A running reconcile has 20 s to end, and the rest takes a moment.
    await assertEnds(program, 60_000);
  });
});

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
