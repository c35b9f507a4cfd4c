import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { startOperatorProgram, waitForOperator, writeOperatorKubeconfig } from '../../tools/operator.ts';
import type { Program } from '../../tools/program.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { opensslRoot } from '../support/pki-fixture.ts';
import { scratchFolder } from '../support/scratch.ts';

// The API server listens on ::1 only, as in a cluster without IPv4.
const world = installation({ operator: false, watched: false, ipv6: true });

const addressOf = ({ lines }: Pick<Program, 'lines'>): string =>
  String(lines.find(({ message }) => message === 'serving health and metrics')?.['address']);

test('in a pod of an IPv6 cluster, the operator connects, listens on ::1, and issues a certificate', async () => {
  const operator = await world.start({ args: ['--listen-address=[::1]:0'] });
  assert.match(operator.url, /^http:\/\/\[::1\]:\d+$/);
  assert.match(await (await fetch(`${operator.url}/metrics`)).text(), /^mtls_operator_/m);
  const tenant = await world.tenant('six');
  await tenant.issue('db', { server: { service: 'db' } });
});

for (const flag of ['--listen-address=[::]:0', '--listen-address=:0']) {
  test(`a replica with ${flag} listens on IPv6 and IPv4, and reports the address with brackets`, async () => {
    const replica = await world.start({ args: [flag] });
    const [, port] = /^http:\/\/\[::\]:(\d+)$/.exec(replica.url) ?? [];
    for (const host of ['[::1]', '127.0.0.1'])
      assert.equal((await fetch(`http://${host}:${port}/healthz`)).status, 200);
    await replica.stop();
  });
}

test('the certificate of the API server is checked for the address: a server with another address is refused', async () => {
  // The proxy listens on 127.0.0.1 with the certificate of the API server, which is valid for ::1.
  const replica = await world.start({ server: world.proxy.server, waitUntilReady: false });
  await eventually(() => {
    const errors = replica.logs.map(({ error }) => String((error as Error | undefined)?.message));
    assert.ok(
      errors.some((message) => message.includes("IP: 127.0.0.1 is not in the cert's list: ::1")),
      replica.logTail(),
    );
  });
  await replica.kill();
});

/** A proxy over TLS on ::1 that requires a password. Returns the requests that it got. */
async function startHttpsProxy(t: TestContext, tls: { cert: string; key: string }) {
  const requests: string[] = [];
  const proxy: Server = createServer(tls).on('connect', (request, socket) => {
    requests.push(`${request.url} ${request.headers['proxy-authorization']}`);
    const [, host = '', port = ''] = /^\[(.*)\]:(\d+)$/.exec(request.url ?? '') ?? [];
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => [upstream, socket].forEach((one) => one.destroy()));
  });
  proxy.listen(0, '::1');
  await once(proxy, 'listening');
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return { requests, port: (proxy.address() as AddressInfo).port };
}

/** The operator behind the proxy-url of its kubeconfig, which applies to loopback addresses, too. */
async function startBehindProxy(
  t: TestContext,
  names: string,
): Promise<{ program: Program; requests: readonly string[] }> {
  const root = await opensslRoot('Proxy');
  t.after(() => root.remove());
  const files = await root.issue('server', names);
  const { requests, port: proxyPort } = await startHttpsProxy(t, {
    cert: String(files['tls.crt']),
    key: String(files['tls.key']),
  });
  const folder = await scratchFolder('proxy');
  const [kubeconfig, ca] = [join(folder, 'kubeconfig'), join(folder, 'ca.crt')];
  writeFileSync(ca, String(files['ca.crt']));
  await writeOperatorKubeconfig(kubeconfig, (args) => world.cluster.kubectl(args));
  const config = JSON.parse(readFileSync(kubeconfig, 'utf8')) as { clusters: { cluster: Record<string, string> }[] };
  for (const { cluster } of config.clusters) cluster['proxy-url'] = `https://jane:p%40ss@[::1]:${proxyPort}`;
  writeFileSync(kubeconfig, JSON.stringify(config));
  const program = startOperatorProgram(
    { args: [`--kubeconfig=${kubeconfig}`] },
    { env: { NODE_EXTRA_CA_CERTS: ca, POD_NAME: `behind-${proxyPort}` } },
  );
  t.after(() => program.kill());
  return { program, requests };
}

test('the operator reaches an IPv6 API server through an HTTPS proxy at an IPv6 address, with the password of its URL', async (t) => {
  const { program, requests } = await startBehindProxy(t, 'IP:::1');
  await waitForOperator(program);
  assert.match(addressOf(program), /^127\.0\.0\.1:/);
  const { host } = new URL(world.cluster.server);
  assert.deepEqual([...new Set(requests)], [`${host} Basic ${Buffer.from('jane:p@ss').toString('base64')}`]);
  assert.doesNotMatch(program.tail(1000), /p@ss|p%40ss/);
});

test('the certificate of an HTTPS proxy is checked for the address of the proxy, and the error names the proxy', async (t) => {
  const { program, requests } = await startBehindProxy(t, 'IP:fd00::9');
  await eventually(() => {
    assert.match(
      program.tail(1000),
      /through the proxy https:\/\/\[::1\]:\d+: Secure Proxy Connection failed: [^"]*IP: ::1 is not in the cert's list/,
    );
  });
  assert.deepEqual(requests, []);
  assert.doesNotMatch(program.tail(1000), /p@ss|p%40ss/);
});
