import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isKubeError, KubeClient, loadConnection, namespaces } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kube-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function configOf(server: string): string {
  const contexts = ['one', 'two'].map((name) => ({
    name,
    context: { cluster: 'c', user: 'u', namespace: `in-${name}` },
  }));
  const clusters = [{ name: 'c', cluster: { server } }];
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

test('a context is chosen by name, and the current one is the default', (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  writeFileSync(kubeconfig, configOf('https://example.org:6443/cluster/a/'));
  assert.equal(loadConnection({ kubeconfig }).namespace, 'in-one');
  const { origin, basePath, namespace } = loadConnection({ kubeconfig, context: 'two' });
  assert.deepEqual([origin, basePath, namespace], ['https://example.org:6443', '/cluster/a', 'in-two']);
  assert.throws(
    () => loadConnection({ kubeconfig, context: 'three' }),
    misconfigured(/no context three; it has one, two/),
  );
});

test('a kubeconfig that is missing or broken is named, and never quoted', (t) => {
  const folder = folderOf(t);
  assert.throws(() => loadConnection({ kubeconfig: join(folder, 'none') }), misconfigured(/none: ENOENT/));
  const broken = join(folder, 'broken');
  writeFileSync(broken, 'users:\n- user: {client-key-data: hunter2\n  bad');
  assert.throws(
    () => loadConnection({ kubeconfig: broken }),
    (error: Error) => {
      assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
      return misconfigured(/broken: it is not a valid kubeconfig/)(error);
    },
  );
  const odd = join(folder, 'odd');
  writeFileSync(odd, configOf('not a url'));
  assert.throws(() => loadConnection({ kubeconfig: odd }), misconfigured(/not a URL/));
});

test('without a kubeconfig, KUBECONFIG and then the home folder are looked at, and nothing found is said', (t) => {
  // Where the test itself runs in a pod, the ServiceAccount comes before the home folder.
  const isInPod = existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token');
  const folder = folderOf(t);
  setEnvironment(t, { HOME: folder, KUBECONFIG: undefined });
  if (!isInPod) assert.throws(() => loadConnection(), misconfigured(/no API server/));
  mkdirSync(join(folder, '.kube'));
  writeFileSync(join(folder, '.kube', 'config'), configOf('https://home.example.org'));
  if (!isInPod) assert.equal(loadConnection().origin, 'https://home.example.org');
  setEnvironment(t, { KUBECONFIG: join(folder, 'other') });
  writeFileSync(join(folder, 'other'), configOf('https://variable.example.org'));
  assert.equal(loadConnection().origin, 'https://variable.example.org');
});

test('the classes of the Kubernetes API, which cost more memory than all the rest, are not loaded', () => {
  const kube = new URL('../../../src/kube/index.ts', import.meta.url).href;
  const script = `
    import { registerHooks } from 'node:module';
    const load = (url, context, next) => (console.log(url), next(url, context));
    registerHooks({ load });
    await import(${JSON.stringify(kube)});`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  const loaded = output.split('\n').filter((url) => url.includes('/client-node/dist/'));
  assert.ok(
    loaded.some((url) => url.endsWith('/config.js')),
    output,
  );
  assert.deepEqual(
    loaded.filter((url) => url.includes('/gen/') && !url.endsWith('/rxjsStub.js')),
    [],
  );
});

test('closing does not wait for a connection that is never made', async (t) => {
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
  const client = new KubeClient(loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  const stop = new AbortController();
  const call = client.list(namespaces, { signal: stop.signal });
  await eventually(() => assert.equal(sockets.size, 1));
  stop.abort();
  await assert.rejects(call, (error) => isKubeError(error, 'Aborted'));
  const startedMs = performance.now();
  await client.close();
  // undici would give the connection up after ten seconds.
  assert.ok(performance.now() - startedMs < 7000, 'it waits for the connection');
});

test('an error of a connection through a proxy says so, without the credentials of the proxy', async (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  const config = JSON.parse(configOf('https://10.96.0.1')) as { clusters: { cluster: Record<string, string> }[] };
  // Nothing listens there.
  for (const { cluster } of config.clusters) cluster['proxy-url'] = 'http://user:hunter2@127.0.0.1:1';
  writeFileSync(kubeconfig, JSON.stringify(config));
  const client = new KubeClient(loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  await assert.rejects(client.list(namespaces), (error) => {
    assert.ok(isKubeError(error, 'Network'), String(error));
    assert.match(error.message, /^no answer from the API server through the proxy http:\/\/127\.0\.0\.1:1: /);
    assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
    return true;
  });
  await client.close();
});

test('the proxy of the environment is left out for an API server in NO_PROXY, and refused where it is none', (t) => {
  const kubeconfig = join(folderOf(t), 'kubeconfig');
  writeFileSync(kubeconfig, configOf('https://10.96.0.1'));
  const none = { HTTP_PROXY: undefined, http_proxy: undefined, https_proxy: undefined, no_proxy: undefined };
  setEnvironment(t, { ...none, HTTPS_PROXY: 'http://proxy.example:3128', NO_PROXY: '192.168.0.0/16' });
  assert.equal(loadConnection({ kubeconfig }).via, ' through the proxy http://proxy.example:3128');
  setEnvironment(t, { NO_PROXY: 'localhost,10.96.0.0/12' });
  assert.equal(loadConnection({ kubeconfig }).via, '');
  setEnvironment(t, { NO_PROXY: undefined, HTTPS_PROXY: 'gopher://proxy.example' });
  assert.throws(() => loadConnection({ kubeconfig }), misconfigured(/HTTPS_PROXY is not the URL of a proxy/));
});

test('a credential program that hangs does not keep a call beyond its deadline, nor beyond its signal', async (t) => {
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
  const client = new KubeClient(loadConnection({ kubeconfig }), { userAgent: 'test/1' });
  const startedMs = performance.now();
  await assert.rejects(client.list(namespaces, { timeoutMs: 50 }), (error) => isKubeError(error, 'Timeout'));
  const stop = new AbortController();
  const call = client.list(namespaces, { signal: stop.signal });
  stop.abort();
  await assert.rejects(call, (error) => isKubeError(error, 'Aborted'));
  assert.ok(performance.now() - startedMs < 10_000, 'it waits for the program');
});
