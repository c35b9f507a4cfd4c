import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

import { type CommandResult, output } from '../../tools/controlplane/command.ts';
import { type ControlPlane, startControlPlane } from '../../tools/controlplane/controlplane.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('the demo shows every step, exits with 0 and deletes its files', async () => {
  const { code, stdout, stderr } = await demo(['--once']);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const lines = stripVTControlCharacters(stdout).split('\n');

  const steps = lines.flatMap((line) => /^\d+ {2}(.+)$/.exec(line)?.[1] ?? []);
  assert.deepEqual(steps, [
    'Start a Kubernetes control plane',
    'Install the operator',
    'Create a root',
    'Request certificates',
    'Mount the Secrets as files',
    'Connect a client to a server with mutual TLS',
    'Refuse other clients',
    'Rotate the certificates under load',
  ]);
  for (const fact of [
    /system:serviceaccount:mtls-operator:mtls-operator$/,
    /✓ mcert\/payments +Ready +until \d{4}-/,
    /✓ connected with TLS 1\.3$/,
    /✓ the client verified the server: +payments\.shop\.svc /,
    /✓ the server verified the client: +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/checkout$/,
    /certificate required \(alert 116\)$/,
    /✓ refused: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/checkout, signed by another root$/,
    /✓ \d+ calls during the rotation: none refused, no program restarted$/,
  ]) {
    assert.ok(
      lines.some((line) => fact.test(line)),
      `no line matches ${fact}:\n${stdout}`,
    );
  }
  const rotated = lines.flatMap((line) => /✓ (server|client) +(\w+)… → (\w+)…/.exec(line)?.slice(1) ?? []);
  assert.deepEqual([rotated[0], rotated[3], rotated.length], ['server', 'client', 6], stdout);
  assert.equal(new Set(rotated).size, 6, 'a serial number stayed the same');
  assert.deepEqual(
    lines.filter((line) => line.length > 100),
    [],
  );

  const folders = lines.flatMap((line) => /✓ (\/.+-tls)$/.exec(line)?.[1] ?? []);
  assert.equal(folders.length, 2, stdout);
  await eventually(() => assert.deepEqual(folders.filter(existsSync), []), { message: 'keys were left behind' });
});

test('an unknown flag prints the usage', async () => {
  const { code, stderr } = await demo(['--twice']);
  assert.equal(code, 2);
  assert.match(stderr, /usage: npm run demo/);
});

test("on a user's own cluster (25 s: the whole demo runs)", async (t) => {
  let cluster: ControlPlane;
  t.before(async () => {
    cluster = await startControlPlane();
  });
  t.after(() => cluster.stop());
  const onCluster = (...args: string[]): Promise<CommandResult> =>
    demo(['--once', '--context=mtls-operator', ...args], { KUBECONFIG: cluster.kubeconfig });
  const names = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubectl(['get', ...args, '--output=name']);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };

  await t.test(
    'without a terminal to confirm and without --yes, it prints what it would do and changes nothing',
    async () => {
      const { code, stdout, stderr } = await onCluster();
      assert.equal(code, 2, `${stdout}\n${stderr}`);
      assert.match(stdout, /install the CRDs/);
      assert.match(stderr, /--yes/);
      assert.equal(await names('crd'), '');
      assert.doesNotMatch(await names('namespaces'), /shop|mtls-operator/);
    },
  );

  await t.test('with --yes it shows every step, deletes the examples and keeps the installation', async () => {
    const { code, stdout, stderr } = await onCluster('--yes');
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /none refused, no program restarted/);
    assert.doesNotMatch(await names('namespaces'), /shop/);
    assert.equal(await names('mtlsauthorities'), 'mtlsauthority.mtls-operator.io/default');
    assert.equal(await names('secrets', '--namespace=mtls-operator'), 'secret/mtls-root');
    assert.equal(await names('deployments', '--namespace=mtls-operator'), '');
  });

  await t.test('it does not change an existing namespace with the name of its own', async () => {
    await cluster.kubectl(['create', 'namespace', 'shop']);
    const { code, stdout } = await onCluster('--yes');
    assert.equal(code, 1);
    assert.match(stdout, /✗ the cluster already has a namespace "shop"/);
    assert.match(await names('namespaces'), /shop/);
  });
});

/** Runs the demo without a terminal. */
function demo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return output('npm', ['run', '--silent', 'demo', '--', ...args], { cwd: ROOT, env: { ...process.env, ...env } });
}
