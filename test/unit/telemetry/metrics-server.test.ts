import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { serveMetrics } from '../../../src/telemetry/metrics-server.ts';
import { eventually } from '../../support/eventually.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { root } from '../../support/fixtures/roots.ts';
import { scratchFolder } from '../../support/scratch.ts';

const log = { info: () => {}, warn: () => {} };
const metrics = () => Promise.resolve({ contentType: 'text/plain', body: ['up 1\n'] });

let tlsDirectory: string;
before(async () => {
  tlsDirectory = await scratchFolder('metrics-server');
  const { data } = certificate().issuedBy(root()).secret('server');
  for (const name of ['tls.crt', 'tls.key'])
    await writeFile(join(tlsDirectory, name), Buffer.from(data?.[name] ?? '', 'base64'));
});

/** A metrics server for the token `good`, and functions that connect to it from a local address. */
async function serve(t: TestContext, requestMs?: number) {
  const decide = (token: string) => Promise.resolve(token === 'good' ? ('allowed' as const) : ('forbidden' as const));
  const listen = { host: '127.0.0.1', port: 0 };
  const server = await serveMetrics({
    metrics,
    listen,
    tlsDirectory,
    decide,
    log,
    ...(requestMs === undefined ? {} : { requestMs }),
  });
  t.after(() => server.close());
  const port = Number(server.address.split(':').at(-1));
  const sockets: TLSSocket[] = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const open = (localAddress = '127.0.0.1'): TLSSocket => {
    const connection = connectTcp({ host: '127.0.0.1', port, localAddress }).on('error', () => {});
    const socket = connect({ socket: connection, rejectUnauthorized: false });
    sockets.push(socket.on('error', () => {}));
    return socket;
  };
  return { open, request: (localAddress?: string) => answerOn(open(localAddress)) };
}

/** The answer to a request with the token `good`; empty if the server closes the connection. */
const answerOn = (socket: TLSSocket): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      answer += piece;
    });
    socket.on('close', () => resolve(answer));
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nConnection: close\r\n\r\n');
  });

describe('a client of the metrics server', () => {
  test('has at most 20 connections at a time, and does not keep out others', async (t) => {
    const { open, request } = await serve(t);
    const idle = Array.from({ length: 30 }, () => open());
    await eventually(() => assert.equal(idle.filter(({ destroyed }) => destroyed).length, 10));
    assert.equal(await request(), '', 'one more connection of this client');
    assert.match(await request('127.0.0.2'), /^HTTP\/1\.1 200 OK/);
    for (const socket of idle) socket.destroy();
    await eventually(async () => assert.match(await request(), /^HTTP\/1\.1 200 OK/));
  });

  test('that does not send its whole request in time is disconnected', async (t) => {
    const { open, request } = await serve(t, 200);
    const slow = open();
    slow.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    slow.resume();
    await eventually(() => assert.ok(slow.destroyed, 'the connection is still open'));
    assert.match(await request(), /^HTTP\/1\.1 200 OK/);
  });
});
