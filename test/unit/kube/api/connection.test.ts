import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isKubeError, KubeClient, loadConnection, namespaces } from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kube-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The current context `one` is for the first server, the context `two` for the second. */
function configOf(server: string, second = server): string {
  const names = ['one', 'two'];
  const contexts = names.map((name) => ({ name, context: { cluster: name, user: 'u' } }));
  const clusters = names.map((name, index) => ({ name, cluster: { server: index === 0 ? server : second } }));
  return JSON.stringify({ clusters, contexts, users: [{ name: 'u', user: {} }], 'current-context': 'one' });
}

function misconfigured(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isKubeError(error, 'Configuration'), String(error));
    assert.match(error.message, message);
    return true;
  };
}

/** Sets variables of the environment until the test ends. */
function setEnvironment(t: TestContext, variables: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    const set = (to: string | undefined): void => {
      if (to === undefined) delete process.env[name];
      else process.env[name] = to;
    };
    set(value);
    t.after(() => set(before));
  }
}

test('a context is chosen by name, and the current one is the default', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  writeFileSync(kubeconfig, configOf('https://one.example.org', 'https://two.example.org:6443/cluster/a/'));
  assert.equal((await loadConnection({ kubeconfig })).origin, 'https://one.example.org');
  const { origin, basePath } = await loadConnection({ kubeconfig, context: 'two' });
  assert.deepEqual([origin, basePath], ['https://two.example.org:6443', '/cluster/a']);
  await assert.rejects(
    loadConnection({ kubeconfig, context: 'three' }),
    misconfigured(/no context three; its contexts: one, two/),
  );
});

test('the error for a missing or invalid kubeconfig names the file and never quotes it', async (t) => {
  const folder = folderOf(t);
  await assert.rejects(loadConnection({ kubeconfig: join(folder, 'none') }), misconfigured(/none: ENOENT/));
  const broken = join(folder, 'broken');
  writeFileSync(broken, 'users:\n- user: {client-key-data: hunter2\n  bad');
  await assert.rejects(loadConnection({ kubeconfig: broken }), (error: Error) => {
    assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
    return misconfigured(/broken: it is not a valid kubeconfig/)(error);
  });
  const odd = join(folder, 'odd');
  for (const server of ['not a url', 'ftp://a', '127.0.0.1:6443', 'https://::1:6443']) {
    writeFileSync(odd, configOf(server));
    await assert.rejects(loadConnection({ kubeconfig: odd }), misconfigured(/not a URL such as https:\/\/HOST:PORT/));
  }
});

test('the first credentials are refused if TLS cannot use them or if a file is missing', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  const transportOf = async (cluster: object, user: object): Promise<unknown> => {
    const clusters = [{ name: 'c', cluster: { server: 'https://one.example.org', ...cluster } }];
    const contexts = [{ name: 'c', context: { cluster: 'c', user: 'u' } }];
    const users = [{ name: 'u', user }];
    writeFileSync(kubeconfig, JSON.stringify({ clusters, contexts, users, 'current-context': 'c' }));
    const connection = await loadConnection({ kubeconfig });
    return connection.transport();
  };
  const wrong = { 'client-certificate-data': 'Z2E=', 'client-key-data': 'Z2E=' };
  await assert.rejects(transportOf({}, wrong), misconfigured(/^TLS cannot use the credentials for the API server: /));
  const missing = { 'certificate-authority': '/none/ca.crt' };
  await assert.rejects(transportOf(missing, {}), misconfigured(/^cannot read the credentials.* '\/none\/ca\.crt'/));
});

test('the default kubeconfig is that of KUBECONFIG, then that of the home folder; without both there is an error', async (t) => {
  // If the test itself runs in a pod, the ServiceAccount comes before the home folder.
  const isInPod = existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token');
  const folder = folderOf(t);
  setEnvironment(t, { HOME: folder, KUBECONFIG: undefined });
  if (!isInPod) await assert.rejects(loadConnection(), misconfigured(/no API server/));
  mkdirSync(join(folder, '.kube'));
  writeFileSync(join(folder, '.kube', 'config'), configOf('https://home.example.org'));
  if (!isInPod) assert.equal((await loadConnection()).origin, 'https://home.example.org');
  setEnvironment(t, { KUBECONFIG: join(folder, 'other') });
  writeFileSync(join(folder, 'other'), configOf('https://variable.example.org'));
  assert.equal((await loadConnection()).origin, 'https://variable.example.org');
});

/** A folder like the one that kubelet mounts into a pod. */
function serviceAccount(t: TestContext): { readonly directory: string; readonly write: (token: string) => void } {
  const directory = folderOf(t);
  writeFileSync(join(directory, 'ca.crt'), 'a root');
  const write = (token: string): void => writeFileSync(join(directory, 'token'), token);
  write('first\n');
  return { directory, write };
}

test('in a pod, the address comes from the environment, and an error names a missing variable', async (t) => {
  const { directory: serviceAccountDirectory } = serviceAccount(t);
  setEnvironment(t, { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' });
  assert.equal((await loadConnection({ serviceAccountDirectory })).origin, 'https://10.96.0.1');
  setEnvironment(t, { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' });
  assert.equal((await loadConnection({ serviceAccountDirectory })).origin, 'https://[fd00::1]:6443');
  setEnvironment(t, { KUBERNETES_SERVICE_PORT: undefined });
  await assert.rejects(loadConnection({ serviceAccountDirectory }), misconfigured(/KUBERNETES_SERVICE_PORT/));
});

test('in a pod, the token is read again after ten seconds, and the last one stays in use while the file is missing', async (t) => {
  const { directory: serviceAccountDirectory, write } = serviceAccount(t);
  setEnvironment(t, { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' });
  let nowMs = 1_000_000;
  t.mock.method(performance, 'now', () => nowMs);
  const connection = await loadConnection({ serviceAccountDirectory });
  t.after(() => connection.close());
  const first = await connection.transport();
  assert.deepEqual(first.headers, ['authorization', 'Bearer first']);
  write('second');
  nowMs += 9_999;
  assert.deepEqual((await connection.transport()).headers, ['authorization', 'Bearer first']);
  nowMs += 1;
  const second = await connection.transport();
  assert.deepEqual(second.headers, ['authorization', 'Bearer second']);
  assert.equal(second.requests, first.requests, 'the connections are kept');
  rmSync(join(serviceAccountDirectory, 'token'));
  nowMs += 10_000;
  assert.deepEqual((await connection.transport()).headers, ['authorization', 'Bearer second']);
  await assert.rejects(connection.renew(second), misconfigured(/cannot read the credentials.*ENOENT/));
});

test('in a pod, a changed ca.crt is used on new connections', async (t) => {
  const { directory: serviceAccountDirectory } = serviceAccount(t);
  setEnvironment(t, { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' });
  const connection = await loadConnection({ serviceAccountDirectory });
  t.after(() => connection.close());
  const first = await connection.transport();
  writeFileSync(join(serviceAccountDirectory, 'ca.crt'), 'another root');
  const second = await connection.renew(first);
  assert.notEqual(second.requests, first.requests);
  assert.notEqual(second.watches, first.watches);
});

test('client-node, which needs more memory than the rest of the program, is not loaded in a pod', (t) => {
  const { directory } = serviceAccount(t);
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  writeFileSync(kubeconfig, configOf('https://example.org'));
  const kube = new URL('../../../../src/kube/index.ts', import.meta.url).href;
  const loadedFor = (options: object): string => {
    const script = `
      import { registerHooks } from 'node:module';
      const load = (url, context, next) => (console.log(url), next(url, context));
      registerHooks({ load });
      const { loadConnection } = await import(${JSON.stringify(kube)});
      const connection = await loadConnection(${JSON.stringify(options)});
      await connection.transport();
      await connection.close();`;
    const env = { ...process.env, KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
    return execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env });
  };
  assert.match(loadedFor({ kubeconfig }), /@kubernetes\/client-node/);
  const inPod = loadedFor({ serviceAccountDirectory: directory });
  assert.match(inPod, /\/in-cluster\.ts/);
  assert.doesNotMatch(inPod, /@kubernetes/);
});

test('close does not wait for a connection that is never established', async (t) => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  // The server accepts the connection, and the TLS handshake never ends.
  writeFileSync(kubeconfig, configOf(`https://127.0.0.1:${(silent.address() as AddressInfo).port}`));
  const client = new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  const stop = new AbortController();
  const call = client.list(namespaces, { signal: stop.signal });
  await eventually(() => assert.equal(sockets.size, 1));
  stop.abort();
  await assert.rejects(call, (error) => isKubeError(error, 'Aborted'));
  const startedMs = performance.now();
  await client.close();
  // undici would abort the connection attempt after ten seconds.
  assert.ok(performance.now() - startedMs < 7000, 'it waits for the connection');
});

test('the error of a connection through a proxy names the proxy without its credentials', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  const config = JSON.parse(configOf('https://10.96.0.1')) as { clusters: { cluster: Record<string, string> }[] };
  // No server listens on this port.
  for (const { cluster } of config.clusters) cluster['proxy-url'] = 'http://user:hunter2@127.0.0.1:1';
  writeFileSync(kubeconfig, JSON.stringify(config));
  const client = new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  await assert.rejects(client.list(namespaces), (error) => {
    assert.ok(isKubeError(error, 'Network'), String(error));
    assert.match(error.message, /^no answer from the API server through the proxy http:\/\/127\.0\.0\.1:1: /);
    assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
    return true;
  });
  await client.close();
});

test('the proxy of the environment is not used for an API server in NO_PROXY, and an invalid one is refused', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  writeFileSync(kubeconfig, configOf('https://10.96.0.1'));
  const none = { HTTP_PROXY: undefined, http_proxy: undefined, https_proxy: undefined, no_proxy: undefined };
  setEnvironment(t, { ...none, HTTPS_PROXY: 'http://proxy.example:3128', NO_PROXY: '192.168.0.0/16' });
  assert.equal((await loadConnection({ kubeconfig })).via, ' through the proxy http://proxy.example:3128');
  setEnvironment(t, { NO_PROXY: 'localhost,10.96.0.0/12' });
  assert.equal((await loadConnection({ kubeconfig })).via, '');
  setEnvironment(t, { NO_PROXY: undefined, HTTPS_PROXY: 'gopher://proxy.example' });
  await assert.rejects(loadConnection({ kubeconfig }), misconfigured(/HTTPS_PROXY is not the URL of a proxy/));
});

test('a call ends at its deadline or signal even if the credential program hangs', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'sleep',
    args: ['15'],
    interactiveMode: 'Never',
  };
  const config = JSON.parse(configOf('https://127.0.0.1:1')) as { users: { user: object }[] };
  for (const user of config.users) user.user = { exec };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const client = new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  const startedMs = performance.now();
  await assert.rejects(client.list(namespaces, { timeoutMs: 50 }), (error) => isKubeError(error, 'Timeout'));
  const stop = new AbortController();
  const call = client.list(namespaces, { signal: stop.signal });
  stop.abort();
  await assert.rejects(call, (error) => isKubeError(error, 'Aborted'));
  assert.ok(performance.now() - startedMs < 10_000, 'it waits for the program');
});
