import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type CommandResult, output } from '../../../tools/controlplane/command.ts';
import { guardProcess } from '../../../tools/controlplane/guard.ts';
import { writeImage } from '../../../tools/node/image.ts';
import { programPath } from '../../../tools/node/unavailable.ts';
import { eventually } from '../../support/eventually.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';
import { cgroupsNamed, machine, processesIn, processesWithVariable } from '../../support/node-traces.ts';
import { scratchFolder } from '../../support/scratch.ts';

const NODE = fileURLToPath(new URL('../../../tools/node/node.ts', import.meta.url));
const CLUSTER = fileURLToPath(new URL('../../../tools/cluster.ts', import.meta.url));

/** What is left of one node. */
function remains({ cgroup, namespace, dirs }: Pick<StartedNode, 'cgroup' | 'namespace' | 'dirs'>) {
  return {
    cgroups: cgroupsNamed(cgroup),
    processes: processesIn(namespace),
    folders: dirs.filter((dir) => existsSync(dir)),
  };
}

const NOTHING = { cgroups: [], processes: [], folders: [] };

interface StartedNode {
  readonly starter: ChildProcess;
  readonly cgroup: string;
  readonly namespace: string;
  readonly dirs: readonly string[];
  readonly address: string;
}

/** Another process that starts a node and then waits. */
async function startInAnotherProcess(): Promise<StartedNode> {
  const source = `
    const { startNode } = await import(${JSON.stringify(NODE)});
    const { readlinkSync } = await import('node:fs');
    const node = await startNode();
    const address = await node.kubectl(['get', 'node', node.nodeName, '-o', 'jsonpath={.status.addresses[0].address}']);
    const { stdout } = await node.run('readlink', ['/proc/self/ns/pid']);
    const dirs = [node.dir, node.nodeDir];
    console.log(JSON.stringify({ cgroup: node.cgroup, namespace: stdout.trim(), dirs, address: address.stdout }));
    setInterval(() => {}, 1000);`;
  const starter = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: starter.stdout })) return { starter, ...JSON.parse(line) };
  throw new Error('the other process ended before its node was ready');
}

const pod = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: { terminationGracePeriodSeconds: 0, ...spec },
});
const shell = (script: string) => ({
  name: 'main',
  image: 'localhost/busybox:1',
  imagePullPolicy: 'Never',
  command: ['sh', '-c', script],
});

describe('a node', { skip: skipWithoutNode() }, () => {
  const before_ = machine();
  let node: TestNode;
  before(async () => {
    node = await startTestNode();
  });
  after(() => node?.stop());

  const apply = (...objects: readonly object[]): Promise<string> =>
    node.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) });

  const runs = (name: string): Promise<string> =>
    node.kubectl(['wait', `pod/${name}`, '--for=condition=Ready', '--timeout=180s']);

  /** The hardware address under which pods reach the node. */
  const hardwareAddress = async (): Promise<string | undefined> =>
    /link\/ether (\S+)/.exec((await node.run('ip', ['link', 'show', 'cni0'])).stdout)?.[1];

  test('runs scheduled pods that mount a Secret, reach each other by address, and answer to logs and exec', async () => {
    const atFirst = await hardwareAddress();
    await node.kubectl(['create', 'secret', 'generic', 'greeting', '--from-literal=text=hello']);
    const volumes = [{ name: 'greeting', secret: { secretName: 'greeting' } }];
    const mounted = { volumeMounts: [{ name: 'greeting', mountPath: '/srv' }] };
    await apply(pod('server', { volumes, containers: [{ ...shell('httpd -f -p 8080 -h /srv'), ...mounted }] }));
    await runs('server');
    const address = await node.kubectl(['get', 'pod', 'server', '-o', 'jsonpath={.status.podIP}']);
    assert.match(address, /^10\.88\./);
    await apply(
      pod('client', {
        containers: [
          shell(`until wget -qO- http://${address}:8080/text 2>/dev/null; do sleep 1; done; echo; sleep 3600`),
        ],
      }),
    );
    await runs('client');
    await eventually(async () => assert.equal(await node.kubectl(['logs', 'client']), 'hello\n'), {
      timeoutMs: 120_000,
    });
    assert.equal(await node.kubectl(['exec', 'client', '--', 'hostname']), 'client\n');
    assert.ok(atFirst !== undefined);
    assert.equal(await hardwareAddress(), atFirst, 'running pods lose the node for up to a minute');

    await node.kubectl(['patch', 'secret', 'greeting', '-p', JSON.stringify({ stringData: { text: 'hello again' } })]);
    await eventually(
      async () => assert.equal(await node.kubectl(['exec', 'server', '--', 'cat', '/srv/text']), 'hello again'),
      { timeoutMs: 120_000 },
    );
  });

  test('lets a pod with a local program use the API server with the token of its ServiceAccount', async () => {
    const image = await node.loadImage({
      name: 'localhost/curl:1',
      programs: { '/bin/curl': programPath('curl') ?? '', '/bin/sh': programPath('busybox') ?? '' },
      files: { '/bin/sleep': { link: 'sh' } },
    });
    const read =
      'cd /var/run/secrets/kubernetes.io/serviceaccount; until curl -sSf --cacert ca.crt --oauth2-bearer "$(cat token)" https://$KUBERNETES_SERVICE_HOST/apis/apps; do sleep 1; done; sleep 3600';
    for (const hostNetwork of [false, true]) {
      const name = hostNetwork ? 'reader-on-host' : 'reader';
      await apply(pod(name, { hostNetwork, containers: [{ ...shell(read), image }] }));
      await runs(name);
      await eventually(async () => assert.match(await node.kubectl(['logs', name]), /APIGroup/), {
        timeoutMs: 120_000,
      });
    }
  });

  test('gives Services addresses and names', async () => {
    await apply(
      pod('files', { containers: [shell('mkdir /srv && echo served >/srv/text && httpd -f -p 8080 -h /srv')] }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'files' },
        spec: { selector: { app: 'files' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
      pod('visitor', {
        containers: [
          {
            ...shell(
              'until curl -sSf --fail-early http://files/text http://files.default.svc.cluster.local/text; do sleep 1; done; sleep 3600',
            ),
            image: 'localhost/curl:1',
          },
        ],
      }),
    );
    for (const name of ['files', 'visitor']) await runs(name);
    await eventually(async () => assert.match(await node.kubectl(['logs', 'visitor']), /served\nserved\n/), {
      timeoutMs: 120_000,
    });
  });

  test('keeps its pods while kubelet restarts', async () => {
    const started = ['get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[0].containerID}'];
    const containers = await node.kubectl(started);
    await node.restartKubelet();
    await apply(pod('later', { containers: [shell('sleep 3600')] }));
    await runs('later');
    assert.ok((await node.kubectl(started)).includes(containers.split(' ')[0] ?? 'no container'));
    await node.kubectl(['delete', 'pods', '--all', '--timeout=180s']);
  });

  test('accepts connections of a test to a pod', async () => {
    await apply(pod('echo', { containers: [shell('echo "from the pod" | nc -l -p 7000')] }));
    await runs('echo');
    const address = await node.kubectl(['get', 'pod', 'echo', '-o', 'jsonpath={.status.podIP}']);
    const socket = await eventually(() => node.connect(address, 7000), { timeoutMs: 120_000 });
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += chunk;
    assert.equal(text, 'from the pod\n');
    await assert.rejects(node.connect(address, 7001), /502/);
  });

  test('leaves no trace next to another node whose starter is killed with SIGKILL', async () => {
    const other = await startInAnotherProcess();
    assert.equal(other.address, node.nodeIp);
    assert.notEqual(other.cgroup, node.cgroup);
    assert.ok(processesIn(other.namespace).includes('kubelet'));
    assert.deepEqual(machine(), before_);

    const ended = once(other.starter, 'exit');
    other.starter.kill('SIGKILL');
    await ended;
    // The guard gives the processes and each cgroup a minute to end.
    await eventually(() => assert.deepEqual(remains(other), NOTHING), { timeoutMs: 150_000 });
    assert.deepEqual(machine(), before_);
    assert.match(await node.kubectl(['get', 'nodes']), /node-1 +Ready/);
  });

  test('leaves no trace after it is stopped', async () => {
    const { cgroup, dir, nodeDir } = node;
    const { stdout } = await node.run('readlink', ['/proc/self/ns/pid']);
    const started = { cgroup, dirs: [dir, nodeDir], namespace: stdout.trim() };
    assert.notDeepEqual(remains(started).processes, []);
    await node.stop();
    assert.deepEqual(remains(started), NOTHING);
    assert.deepEqual(machine(), before_);
  });
});

describe('npm run cluster', { skip: skipWithoutNode() }, () => {
  let state: string;
  let dir: string;
  const beforeUp = machine();
  before(async () => {
    state = await scratchFolder('state');
    dir = join(state, 'mtls-operator', 'clusters', 'default');
  });
  const starters: ChildProcess[] = [];
  after(async () => {
    for (const starter of starters) starter.kill('SIGKILL');
    await cluster('down');
  });

  const env = (): NodeJS.ProcessEnv => ({ ...process.env, XDG_STATE_HOME: state });
  const cluster = (...args: readonly string[]): Promise<CommandResult> =>
    output(process.execPath, [CLUSTER, ...args], { env: env() });
  const succeed = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  const recordIn = (folder: string) => JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'));
  const processes = (): string[] => processesWithVariable(`XDG_STATE_HOME=${state}`).map(({ name }) => name);
  /** What is left of a start that was interrupted. */
  const remainsOf = (cgroup: string) => ({ cgroups: cgroupsNamed(cgroup), processes: processes(), machine: machine() });
  const nothing = { cgroups: [], processes: [], machine: beforeUp };

  /** Starts a cluster with a node in another process, and sends a signal at a moment. Returns the name of the cgroup. */
  async function interrupt(signal: NodeJS.Signals, moment: string, { withGuard = false } = {}): Promise<string> {
    const starter = spawn(process.execPath, [CLUSTER, 'up', '--node'], { env: env(), stdio: 'ignore' });
    guardProcess(starter);
    starters.push(starter);
    const ended = once(starter, 'exit');
    const cgroup = await eventually(() => {
      const record = recordIn(join(dir, 'node'));
      const names = (folder: string): string[] => recordIn(folder).processes.map(({ name }: Named) => name);
      const reached = {
        'its cgroup exists': () => cgroupsNamed(record.cgroup).length > 0,
        'its sandbox runs': () => names(join(dir, 'node')).includes('init'),
        'the API server starts': () => names(dir).includes('kube-apiserver'),
        'kubelet starts': () => processes().includes('kubelet'),
      }[moment];
      assert.ok(reached?.());
      return record.cgroup;
    }, PATIENTLY);
    const guards = processesWithVariable(`XDG_STATE_HOME=${state}`).filter(({ pid }) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('guardian.ts'),
    );
    assert.equal(guards.length, 1);
    if (withGuard) for (const { pid } of guards) process.kill(pid, 'SIGKILL');
    starter.kill(signal);
    assert.deepEqual(await ended, [null, signal]);
    return cgroup;
  }

  test('Ctrl-C during "up" ends everything, "down" removes its data', async () => {
    const cgroup = await interrupt('SIGINT', 'its sandbox runs');
    await eventually(() => assert.deepEqual(remainsOf(cgroup), nothing), PATIENTLY);
    assert.match(await succeed('down'), /stopped and its data removed/);
    assert.ok(!existsSync(dir));
  });

  test('"down" removes what a killed "up" has left', async () => {
    const cgroup = await interrupt('SIGKILL', 'the API server starts');
    await succeed('down');
    assert.deepEqual(remainsOf(cgroup), nothing);
    assert.ok(!existsSync(dir));
  });

  test('"down" removes what "up" has left that is killed with its guard', async () => {
    const cgroup = await interrupt('SIGKILL', 'its cgroup exists', { withGuard: true });
    await succeed('down');
    assert.deepEqual(remainsOf(cgroup), nothing);
    assert.ok(!existsSync(dir));
  });

  test('starts a node after a killed "up", loads an image into it and removes it (30 s: a node starts twice)', async () => {
    const killed = await interrupt('SIGKILL', 'kubelet starts', { withGuard: true });
    const refused = async (file: string, why: RegExp): Promise<void> => {
      const { code, stderr } = await cluster('load', file);
      assert.match(stderr, why);
      assert.equal(code, 1);
    };
    await refused('any.tar', /has no node\. Start one with: npm run cluster -- up --node$/m);
    assert.match(await succeed('up', '--node'), /running in the background, with one node/);
    assert.deepEqual(cgroupsNamed(killed), []);
    assert.match(await succeed('status'), /default +running .*, one node/);
    assert.match(await succeed('up', '--node'), /already running/);
    assert.match(await succeed('kubectl', 'get', 'nodes'), /node-1 +Ready/);

    const archive = join(state, 'loaded.tar');
    await writeImage(archive, { name: 'localhost/loaded:1', programs: { '/bin/true': programPath('true') ?? '' } });
    await refused(join(state, 'missing.tar'), /no such file or directory.*missing\.tar/);
    await refused(CLUSTER, /containerd cannot import .*cluster\.ts: \S/);
    assert.match(await succeed('load', archive), /localhost\/loaded:1/);
    const pod = ['loaded', '--image=localhost/loaded:1', '--image-pull-policy=Never', '--restart=Never'];
    await succeed('kubectl', 'run', ...pod, '--command', '--', '/bin/true');
    await succeed('kubectl', 'wait', 'pod/loaded', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=120s');

    const { cgroup } = recordIn(join(dir, 'node'));
    assert.ok(processes().includes('containerd'));
    await succeed('down');
    assert.deepEqual(remainsOf(cgroup), nothing);
    assert.ok(!existsSync(dir));
  });
});

/** For a start on a busy machine. */
const PATIENTLY = { timeoutMs: 300_000 };

interface Named {
  readonly name: string;
}
