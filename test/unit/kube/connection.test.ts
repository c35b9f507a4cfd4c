import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isKubeError, loadConnection } from '../../../src/kube/index.ts';

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
