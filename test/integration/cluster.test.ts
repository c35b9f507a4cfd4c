import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { output } from '../../tools/controlplane/command.ts';
import { type ControlPlane, startControlPlane } from '../../tools/controlplane/controlplane.ts';
import { identify, isRunning } from '../../tools/controlplane/processes.ts';
import { isUp, readState, type State, writeState } from '../../tools/controlplane/state.ts';
import { eventually } from '../support/eventually.ts';
import { scratchFolder } from '../support/scratch.ts';

const COMPONENT = fileURLToPath(new URL('../../tools/controlplane/component.ts', import.meta.url));
const CONTROL_PLANE = fileURLToPath(new URL('../../tools/controlplane/controlplane.ts', import.meta.url));

/** The processes of the control plane in a folder. It must be running. */
function processesOf(dir: string): State['processes'] {
  const state = readState(dir);
  assert.ok(isUp(state), `the control plane in ${dir} is not running`);
  return state.processes;
}

function assertNoneRuns(processes: State['processes']): void {
  assert.deepEqual(
    processes.filter(isRunning).map(({ name }) => name),
    [],
  );
}

async function succeed(controlPlane: ControlPlane, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, { input });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Starts another process that starts a control plane, in the folder or a temporary one, and then waits. */
async function startInAnotherProcess(dir?: string): Promise<{ starter: ChildProcess; dir: string }> {
  const source = `
    const { startControlPlane } = await import(${JSON.stringify(CONTROL_PLANE)});
    const controlPlane = await startControlPlane(${JSON.stringify({ dir })});
    console.log(controlPlane.dir);
    setInterval(() => {}, 1000);`;
  const starter = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: starter.stdout })) return { starter, dir: line };
  throw new Error('the other process ended before its control plane was running');
}

async function killHard(starter: ChildProcess): Promise<void> {
  const ended = once(starter, 'exit');
  starter.kill('SIGKILL');
  await ended;
}

describe('a control plane', () => {
  let controlPlane: ControlPlane;
  before(async () => {
    controlPlane = await startControlPlane();
  });
  after(() => controlPlane.stop());

  test('has RBAC: a ServiceAccount token is forbidden without a binding, and allowed with one', async () => {
    const { server, dir } = controlPlane;
    await succeed(controlPlane, ['create', 'serviceaccount', 'reader']);
    const token = (await succeed(controlPlane, ['create', 'token', 'reader'])).trim();
    const asReader = [
      `--token=${token}`,
      `--server=${server}`,
      `--certificate-authority=${dir}/certificates/apiserver.crt`,
    ];
    // An empty kubeconfig: credentials in a kubeconfig would take precedence over the flags.
    const listSecrets = () =>
      controlPlane.kubectl([...asReader, 'get', 'secrets'], { kubeconfig: join(dir, 'no.kubeconfig') });

    const { code, stderr } = await listSecrets();
    assert.equal(code, 1);
    assert.match(stderr, /Forbidden.*system:serviceaccount:default:reader.*cannot list/);

    await succeed(controlPlane, ['create', 'role', 'reader', '--verb=list', '--resource=secrets']);
    await succeed(controlPlane, [
      'create',
      'rolebinding',
      'reader',
      '--role=reader',
      '--serviceaccount=default:reader',
    ]);
    await eventually(async () => assert.equal((await listSecrets()).code, 0));
  });

  test('deletes objects whose owner was deleted', async () => {
    const owner = JSON.parse(await succeed(controlPlane, ['create', 'configmap', 'owner', '-o', 'json'])) as {
      metadata: { uid: string };
    };
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid }];
    const owned = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned', ownerReferences } };
    await succeed(controlPlane, ['create', '-f', '-'], JSON.stringify(owned));
    await succeed(controlPlane, ['delete', 'configmap', 'owner']);
    await eventually(async () => assert.equal((await controlPlane.kubectl(['get', 'configmap', 'owned'])).code, 1), {
      timeoutMs: 120_000,
    });
  });

  test('keeps its data and its address when the API server restarts', async () => {
    await succeed(controlPlane, ['create', 'configmap', 'kept']);
    await controlPlane.stopApiServer();
    assert.notEqual((await controlPlane.kubectl(['get', 'configmap', 'kept'])).code, 0);
    await controlPlane.startApiServer();
    await succeed(controlPlane, ['get', 'configmap', 'kept']);
  });

  test('returns 410 Gone to a list and a watch with a compacted resourceVersion', async () => {
    await succeed(controlPlane, ['create', 'configmap', 'old']);
    const resourceVersion = (
      await succeed(controlPlane, ['get', 'configmap', 'old', '-o', 'jsonpath={.metadata.resourceVersion}'])
    ).trim();
    await succeed(controlPlane, ['create', 'configmap', 'new']);
    await controlPlane.compact();

    const path = `/api/v1/namespaces/default/configmaps?resourceVersion=${resourceVersion}`;
    const list = await controlPlane.kubectl(['get', '--raw', `${path}&resourceVersionMatch=Exact`]);
    assert.match(list.stderr, /\(Expired\)/);
    const watch = await controlPlane.kubectl(['get', '--raw', `${path}&watch=true&timeoutSeconds=5`]);
    assert.match(watch.stdout, /"type":"ERROR".*"code":410/);
  });

  test('is independent of another control plane that runs at the same time', async () => {
    const other = await startControlPlane();
    try {
      assert.notEqual(other.server, controlPlane.server);
      await succeed(other, ['create', 'configmap', 'mine']);
      assert.equal((await controlPlane.kubectl(['get', 'configmap', 'mine'])).code, 1);
    } finally {
      await other.stop();
    }
    await succeed(controlPlane, ['get', '--raw', '/readyz']);
  });
});

test('a stopped control plane leaves neither a process nor its folder', async () => {
  const controlPlane = await startControlPlane();
  const processes = processesOf(controlPlane.dir);
  await controlPlane.stop();
  assertNoneRuns(processes);
  assert.ok(!existsSync(controlPlane.dir));
});

test('a temporary control plane ends with the process that started it, even if that is killed', async () => {
  const { starter, dir } = await startInAnotherProcess();
  const processes = processesOf(dir);
  await killHard(starter);
  await eventually(() => assertNoneRuns(processes));
  await eventually(() => assert.ok(!existsSync(dir)));
});

test('a program does not run if its starter is killed before it has recorded it', async () => {
  const dir = await scratchFolder('component');
  const ran = join(dir, 'ran');
  const source = `
    const { startComponent } = await import(${JSON.stringify(COMPONENT)});
    startComponent('touch', [${JSON.stringify(ran)}], {
      dir: ${JSON.stringify(dir)},
      record: ({ pid }) => {
        console.log(pid);
        process.kill(process.pid, 'SIGKILL');
      },
    });`;
  const { stdout, code } = await output(process.execPath, ['--input-type=module', '--eval', source], {});
  assert.equal(code, null);
  await eventually(() => assert.equal(identify(Number(stdout)), undefined));
  assert.ok(!existsSync(ran));
});

describe('a control plane with its own folder', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'mtls-kept-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('continues to run after its starter; the next start ends its processes and uses its data (20 s: a control plane starts twice)', async () => {
    const { starter } = await startInAnotherProcess(dir);
    await killHard(starter);
    const leftOver = processesOf(dir);

    // A reused pid: a running process, recorded with another start time.
    const self = identify(process.pid)!;
    const foreign = { name: 'foreign', pid: self.pid, startedAt: `${self.startedAt}0` };
    writeState(dir, { ...readState(dir)!, processes: [...leftOver, foreign] });

    const controlPlane = await startControlPlane({ dir });
    try {
      assertNoneRuns(leftOver);
      assert.ok(isRunning(self));
      await succeed(controlPlane, ['create', 'configmap', 'kept']);
    } finally {
      await controlPlane.stop();
    }
    assertNoneRuns(readState(dir)?.processes ?? []);

    const again = await startControlPlane({ dir });
    try {
      assert.equal(again.server, controlPlane.server);
      await succeed(again, ['get', 'configmap', 'kept']);
    } finally {
      await again.stop();
    }
  });
});
