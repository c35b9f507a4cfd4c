import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

import { type CommandResult, output } from '../../tools/controlplane/command.ts';
import { type ControlPlane, startControlPlane } from '../../tools/controlplane/controlplane.ts';
import { eventually } from '../support/eventually.ts';
import { skipWithoutNode } from '../support/node.ts';

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

test('with --node the demo runs the operator and its programs in pods, and replaces their certificates (60 s: pods start and kubelet restarts)', {
  skip: skipWithoutNode(),
}, async () => {
  const { code, stdout, stderr } = await demo(['--node', '--once']);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const lines = stripVTControlCharacters(stdout).split('\n');
  for (const fact of [
    /✓ the node node-1 is Ready: kubelet v1\.\d+\.\d+ and containerd /,
    /✓ the operator has 2 pods/,
    /✓ [\d.]+ s after kubectl apply, all pods are ready$/,
    /✓ the namespace has one Secret, for ledger/,
    /✓ checkout → payments: connected with TLS 1\.3$/,
    /✓ ledger → payments: connected with TLS 1\.3$/,
    /certificate required \(alert 116\)$/,
    /ServiceDoesNotSelectPod/,
    /✓ \d+ calls meanwhile: none refused, no container restarted$/,
  ]) {
    assert.ok(
      lines.some((line) => fact.test(line)),
      `no line matches ${fact}:\n${stdout}`,
    );
  }
  const replaced = lines.flatMap(
    (line) => /✓ (?:payments|checkout|ledger) +(\w+)… → (\w+)…/.exec(line)?.slice(1) ?? [],
  );
  assert.equal(new Set(replaced).size, 6, stdout);
  assert.deepEqual(
    lines.filter((line) => line.length > 100),
    [],
  );
});

test('an unknown flag prints the usage', async () => {
  const { code, stderr } = await demo(['--twice']);
  assert.equal(code, 2);
  assert.match(stderr, /usage: npm run demo/);
});

test("on a user's own cluster (60 s: the demo runs once as a whole and is interrupted four times)", async (t) => {
  let cluster: ControlPlane;
  let before: string[];
  t.before(async () => {
    cluster = await startControlPlane();
    // Controllers of the control plane create objects of their own while they start.
    let last: string[] = [];
    before = await eventually(
      async () => {
        const now = await objectsOf(cluster);
        const previous = last;
        last = now;
        assertHas(now, ofControlPlane);
        assert.deepEqual(now, previous);
        return now;
      },
      { timeoutMs: 120_000 },
    );
  });
  t.after(() => cluster.stop());
  const settings = (): { args: string[]; env: NodeJS.ProcessEnv } => ({
    args: ['--once', '--context=mtls-operator'],
    env: { KUBECONFIG: cluster.kubeconfig },
  });
  const onCluster = (...args: string[]): Promise<CommandResult> => demo([...settings().args, ...args], settings().env);
  const isAsBefore = (): Promise<void> =>
    // The API server removes the APIServices of a deleted CRD a moment later.
    eventually(async () => assert.deepEqual(await objectsOf(cluster), before), {
      timeoutMs: 120_000,
      message: 'the cluster is not as before',
    });

  await t.test(
    'without a terminal to confirm and without --yes, it prints what it would do and changes nothing',
    async () => {
      const { code, stdout, stderr } = await onCluster();
      assert.equal(code, 2, `${stdout}\n${stderr}`);
      assert.match(stdout, /install the CRDs/);
      assert.match(stderr, /--yes/);
      await isAsBefore();
    },
  );

  await t.test('with --yes it shows every step and leaves the cluster as it was', async () => {
    const { code, stdout, stderr } = await onCluster('--yes');
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /none refused, no program restarted/);
    assert.match(stdout, /The demo has removed everything that it created/);
    await isAsBefore();
  });

  for (const { moment, signal } of [
    { moment: 'Install the operator', signal: 'SIGINT' },
    { moment: 'Create a root', signal: 'SIGTERM' },
  ] as const) {
    await t.test(`interrupted by ${signal} in the step "${moment}", it leaves the cluster as it was`, async () => {
      const running = interruptible(settings());
      await eventually(() => assert.ok(running.output().includes(moment)), { timeoutMs: 120_000 });
      running.send(signal);
      assert.equal(await running.exited, 130, running.output());
      assert.match(running.output(), /Stopping, and removing what the demo has created/);
      assert.match(running.output(), /Interrupted\. The demo has removed everything that it created/);
      await isAsBefore();
    });
  }

  await t.test('the CRDs and the namespace of deploy/ stay if they exist', async () => {
    await cluster.kubectl(['create', 'namespace', 'mtls-operator']);
    await cluster.kubectl(['apply', `--filename=${ROOT}/crds`]);
    const own = await eventually(
      async () => {
        const now = await objectsOf(cluster);
        assertHas(now, [...ofNamespace('mtls-operator'), 'APIService//v1alpha1.mtls-operator.io']);
        return now;
      },
      { timeoutMs: 120_000 },
    );
    const running = interruptible(settings());
    await eventually(() => assert.ok(running.output().includes('Request certificates')), { timeoutMs: 120_000 });
    running.send('SIGINT');
    assert.equal(await running.exited, 130, running.output());
    await eventually(async () => assert.deepEqual(await objectsOf(cluster), own), { timeoutMs: 120_000 });
    await cluster.kubectl(['delete', `--filename=${ROOT}/crds`]);
    await cluster.kubectl(['delete', 'namespace', 'mtls-operator']);
    await isAsBefore();
  });

  await t.test('a second Ctrl-C ends it at once, with the commands that remove the rest', async () => {
    const running = interruptible(settings());
    await eventually(() => assert.ok(running.output().includes('Mount the Secrets')), { timeoutMs: 120_000 });
    // The namespace cannot go, so the removal cannot end.
    const hold = (value: string[]): Promise<CommandResult> =>
      cluster.kubectl([
        'patch',
        'serviceaccount',
        'default',
        '--namespace=shop',
        '--type=merge',
        `--patch=${JSON.stringify({ metadata: { finalizers: value } })}`,
      ]);
    // A controller creates the ServiceAccount after the namespace.
    await eventually(async () => assert.equal((await hold(['example.com/hold'])).code, 0), { timeoutMs: 120_000 });
    const again = setInterval(() => running.send('SIGINT'), 200);
    assert.equal(await running.exited.finally(() => clearInterval(again)), 130, running.output());
    await hold([]);
    const commands = [...running.output().matchAll(/^ +\$ kubectl (--context .+)$/gm)].map(([, line = '']) =>
      line.split(' '),
    );
    assert.ok(commands.length > 0, running.output());
    for (const args of commands) {
      const { code, stderr } = await cluster.kubectl(args);
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    }
    await isAsBefore();
  });

  await t.test('it does not change an existing namespace with the name of its own', async () => {
    await cluster.kubectl(['create', 'namespace', 'shop']);
    const { code, stdout } = await onCluster('--yes');
    assert.equal(code, 1);
    assert.match(stdout, /✗ the cluster already has a namespace "shop"/);
    await cluster.kubectl(['delete', 'namespace', 'shop']);
    await isAsBefore();
  });
});

/** What controllers create in a namespace. */
const ofNamespace = (name: string): string[] => [
  `ConfigMap/${name}/kube-root-ca.crt`,
  ...(name === 'kube-system' ? [] : [`ServiceAccount/${name}/default`]),
];

/** What the control plane creates in the background after it is ready. */
const ofControlPlane = [
  ...['default', 'kube-node-lease', 'kube-public', 'kube-system'].flatMap(ofNamespace),
  'ConfigMap/kube-system/kube-apiserver-legacy-service-account-token-tracking',
  'Lease/kube-system/apiserver-',
  'Service/default/kubernetes',
  'ServiceCIDR//kubernetes',
];

/** Asserts that an object begins with each of these. */
function assertHas(objects: readonly string[], beginnings: readonly string[]): void {
  const missing = beginnings.filter((beginning) => !objects.some((line) => line.startsWith(beginning)));
  assert.deepEqual(missing, []);
}

/**
 * Every object of the cluster, with its UID. Kubernetes itself changes Events and Leases, and kube-controller-manager may create
 * the ServiceAccount of a controller late.
 */
async function objectsOf(cluster: ControlPlane): Promise<string[]> {
  const read = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubectl(args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const types = (await read('api-resources', '--verbs=list', '--output=name'))
    .trim()
    .split('\n')
    .filter((type) => !/^(componentstatuses|events(\..*)?)$/.test(type));
  const columns = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\\n"}{end}';
  const lines = await read('get', types.join(','), '--all-namespaces', `--output=jsonpath=${columns}`);
  return lines
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('ServiceAccount/kube-system/'))
    .toSorted();
}

/** Starts the demo without npm in between. */
function interruptible({ args, env }: { readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv }) {
  const child = spawn(process.execPath, [`${ROOT}/tools/demo/main.ts`, '--yes', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  return {
    output: (): string => stripVTControlCharacters(text),
    send: (signal: NodeJS.Signals): boolean => child.kill(signal),
    exited: once(child, 'close').then(([code]) => code as number | null),
  };
}

/** Runs the demo without a terminal. */
function demo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return output('npm', ['run', '--silent', 'demo', '--', ...args], { cwd: ROOT, env: { ...process.env, ...env } });
}
