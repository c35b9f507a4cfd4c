import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chownSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { bytesBelow, type ImageConfig, openImageStore } from '../../tools/image/buildah.ts';
import { buildLocalBases } from '../../tools/image/local-bases.ts';
import { OPERATOR_NAMESPACE, waitForOperator } from '../../tools/operator.ts';
import { npmSbom } from '../../tools/release/npm.ts';
import { completeSbom } from '../../tools/release/sbom.ts';
import { CHART, openHelm } from '../support/chart/helm.ts';
import type { TestCluster } from '../support/cluster.ts';
import { type Container, startContainer } from '../support/container.ts';
import { eventually } from '../support/eventually.ts';
import { imageEnvironment } from '../support/image.ts';
import { installation } from '../support/installation.ts';
import { missing } from '../support/missing.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../support/node.ts';
import { inParallel } from '../support/parallel.ts';
import { scratchFolder } from '../support/scratch.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TAG = 'localhost/mtls-operator:test';
const MiB = 2 ** 20;

/** Without Node.js, which is three quarters of the image: the operator, its packages and their licences. */
const appLimitMiB = 40;
const imageLimitMiB = 200;

const burst = 1000;

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: object;
        readonly containers: ReadonlyArray<{
          readonly securityContext: object;
          readonly resources: { readonly limits: { readonly memory: string } };
        }>;
      };
    };
  };
}

const pod = (parse(readFileSync(join(ROOT, 'deploy/deployment.yaml'), 'utf8')) as Deployment).spec.template.spec;
const [shipped] = pod.containers;
assert.ok(shipped);
const memoryBytes = Number(/^(\d+)Mi$/.exec(shipped.resources.limits.memory)?.[1]) * MiB;

const title =
  'the image, built from the Dockerfile by buildah and run by runc as the Deployment runs it (60 s: the build copies Node.js several times)';

describe(title, { skip: missing.containers() ?? false }, () => {
  let node: TestNode | undefined;
  const startCluster = async (): Promise<TestCluster> => (node = await startTestNode());
  const world = installation({
    operator: false,
    watched: false,
    ...(skipWithoutNode() === false ? { startCluster } : {}),
  });
  let rootfs = '';
  let config: ImageConfig;
  let archive = '';

  before(async () => {
    const folder = await scratchFolder('image');
    const store = openImageStore(join(folder, 'store'));
    const args = await buildLocalBases(store, join(folder, 'files'));
    await store.build({ tag: TAG, dockerfile: join(ROOT, 'Dockerfile'), context: ROOT, args: { ...args } });
    config = await store.config(TAG);
    rootfs = await store.unpack(TAG);
    archive = join(folder, 'operator.tar');
    if (node !== undefined) await store.archive(TAG, archive);
  });

  let started = 0;
  /** Starts the image with the ServiceAccount where kubelet mounts it. It may use the API server at `server`. */
  async function start(server?: string): Promise<Container> {
    const folder = join(await scratchFolder('container'), 'bundle');
    const account = join(folder, 'service-account');
    const login = await world.cluster.serviceAccount(account, { server });
    // kubelet gives the token to the user of the pod.
    chownSync(join(account, 'token'), 65_532, 65_532);
    return startContainer({
      folder,
      rootfs,
      config,
      args: ['--create-default-authority', '--listen-address=127.0.0.1:0'],
      env: { ...login.env, POD_NAME: `image-${++started}`, POD_NAMESPACE: OPERATOR_NAMESPACE },
      mounts: { '/var/run/secrets/kubernetes.io/serviceaccount': account },
      memoryBytes,
    });
  }

  /** Sends the stop signal, asserts that the operator ends by itself with code 0, and returns the seconds. */
  async function stop(container: Container): Promise<string> {
    const began = performance.now();
    await container.signal();
    const { code, signal } = await container.exited;
    const tookMs = performance.now() - began;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, container.tail());
    assert.match(container.tail(), /"message":"stopped"/);
    return `${(tookMs / 1000).toFixed(1)} s`;
  }

  test('has the operator, exactly the packages of its bill of materials, their licences, and nothing that is not needed', async (t) => {
    const files = readdirSync(rootfs, { recursive: true, encoding: 'utf8' });
    const installed = files
      .filter((path) => /(^|\/)node_modules\/(@[^/]+\/)?[^@/.][^/]*\/package\.json$/.test(path))
      .map((path) => JSON.parse(readFileSync(join(rootfs, path), 'utf8')) as { name: string; version: string })
      .map(({ name, version }) => `${name}@${version}`);
    const { components } = completeSbom(await npmSbom(ROOT), { versions: process.versions, date: new Date(0) });
    const listed = components.map(({ name, version }) => `${name}@${version}`);
    assert.deepEqual([...installed, `node@${process.versions.node}`].toSorted(), listed.toSorted());
    assert.deepEqual(
      files.filter((path) => path.startsWith('app/') && /\.(ts|mts|cts|map|bare)$/.test(path)),
      [],
    );
    for (const path of ['app/LICENSE', 'app/node_modules/node-forge/LICENSE'])
      assert.ok(existsSync(join(rootfs, path)));
    for (const path of ['bin/sh', 'usr/bin/npm', 'app/src']) assert.ok(!existsSync(join(rootfs, path)), path);

    const [app, whole] = [bytesBelow(join(rootfs, 'app')) / MiB, bytesBelow(rootfs) / MiB];
    t.diagnostic(`the image has ${whole.toFixed(1)} MiB: ${app.toFixed(1)} MiB on top of its base`);
    assert.ok(app < appLimitMiB, `the operator and its packages have ${app} MiB`);
    assert.ok(whole < imageLimitMiB, `the image has ${whole} MiB`);
  });

  test('belongs to root, and its user cannot change it', () => {
    assert.equal(config.User, '65532:65532');
    assert.equal(config.StopSignal, 'SIGTERM');
    const [stopSignal, main] = ['/app/dist/stop-signal.js', '/app/dist/main.js'];
    assert.deepEqual(config.Entrypoint, ['/nodejs/bin/node', '--import', stopSignal, main]);
    for (const [name, value] of Object.entries(imageEnvironment())) assert.ok(config.Env.includes(`${name}=${value}`));
    for (const path of ['', 'app', 'app/dist', 'app/dist/main.js', 'nodejs/bin/node']) {
      const { uid, gid, mode } = statSync(join(rootfs, path));
      assert.deepEqual({ path, uid, gid, writable: (mode & 0o022) !== 0 }, { path, uid: 0, gid: 0, writable: false });
    }
  });

  test('runs under what the Deployment asks for: no root, no capabilities, no new privileges, a read-only root', async (t) => {
    // A running reconcile has 20 s to end.
    assert.equal(pod.terminationGracePeriodSeconds, 30);
    assert.deepEqual(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    assert.deepEqual(shipped.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const began = performance.now();
    const container = await start();
    await waitForOperator(container);
    t.diagnostic(`ready ${((performance.now() - began) / 1000).toFixed(1)} s after its start`);

    const status = readFileSync(`/proc/${container.processId}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
    assert.equal(field('NSpid').split('\t').at(-1), '1', 'it is process 1 of its container');
    assert.deepEqual(['Uid', 'Gid', 'CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp'].map(field), [
      '65532\t'.repeat(4).trim(),
      '65532\t'.repeat(4).trim(),
      ...Array<string>(3).fill('0'.repeat(16)),
      '1',
      '2',
    ]);
    const mounts = readFileSync(`/proc/${container.processId}/mountinfo`, 'utf8').split('\n');
    assert.match(mounts.find((line) => line.split(' ')[4] === '/') ?? '', / \/ ro[, ]/);
    t.diagnostic(`stopped in ${await stop(container)}`);
  });

  test(`issues a burst of ${burst} certificates under the memory limit of the Deployment`, async (t) => {
    const container = await start();
    await waitForOperator(container);
    const tenant = await world.tenant('burst');
    const names = Array.from({ length: burst }, (_, i) => `db-${i}`);
    const began = performance.now();
    await inParallel(names, (name) => tenant.create(name, { server: { service: name } }), 20);
    await eventually(
      async () => {
        assert.ok(!container.hasEnded, `the operator ended:\n${container.tail()}`);
        const ready = (await tenant.list()).filter(({ status }) =>
          status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
        );
        assert.equal(ready.length, burst);
      },
      { timeoutMs: 240_000, message: 'not every certificate is Ready' },
    );
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const [peak, resident] = [container.peakBytes(), peakResidentKiB(container.processId)];
    t.diagnostic(
      `${burst} certificates in ${seconds} s; at most ${memoryOf(peak)} charged to the limit of ${memoryBytes / MiB} MiB, ` +
        `${(resident / 1024).toFixed(0)} MiB resident with the pages of files`,
    );
    assert.ok((peak ?? 0) <= memoryBytes);
    await stop(container);
  });

  test('stops within its grace period when the API server does not answer', async (t) => {
    const container = await start(world.proxy.server);
    await waitForOperator(container);
    const { promise: never } = Promise.withResolvers<'pass'>();
    world.proxy.faults = { onRequest: () => never };
    t.diagnostic(`stopped in ${await stop(container)}`);
  });

  test('runs on a node as the chart installs it, and its certificates reach the pods that mount them (30 s: the image is imported, and helm replaces deploy/)', {
    skip: skipWithoutNode(),
  }, async (t) => {
    assert.ok(node !== undefined);
    const { kubectl } = world.cluster;
    await kubectl(['delete', '--wait', '-k', join(ROOT, 'deploy')]);
    await node.importImages(archive);
    const helm = await openHelm('helm', world.cluster.kubeconfig);
    const [repository, tag] = TAG.split(':');
    const began = performance.now();
    await helm.run(['install', 'mtls-operator', CHART, `--namespace=${OPERATOR_NAMESPACE}`, '--create-namespace'], {
      image: { repository, tag, pullPolicy: 'Never' },
    });
    await kubectl(['-n', OPERATOR_NAMESPACE, 'rollout', 'status', 'deployment/mtls-operator', '--timeout=180s']);
    t.diagnostic(`available ${((performance.now() - began) / 1000).toFixed(1)} s after helm install`);

    const namespace = await world.cluster.namespace('shop');
    const tenant = world.tenantOf(namespace);
    await eventually(() => world.authority('default'), { message: 'the operator has created no authority' });
    await tenant.issue('payments', { server: { service: 'payments' } });
    const mounted = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'payments', namespace },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'payments',
            image: 'localhost/busybox:1',
            imagePullPolicy: 'Never',
            command: ['sleep', '3600'],
            volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
          },
        ],
        volumes: [{ name: 'tls', secret: { secretName: 'payments-server-tls' } }],
      },
    };
    await kubectl(['apply', '-f', '-'], { input: JSON.stringify(mounted) });
    await kubectl(['-n', namespace, 'wait', 'pod/payments', '--for=condition=Ready', '--timeout=180s']);
    const read = (): Promise<string> => kubectl(['-n', namespace, 'exec', 'payments', '--', 'cat', '/tls/tls.crt']);
    assert.equal(serialIn(await read()), (await tenant.serials('payments'))['server']);
    await tenant.rotate('payments', 'again');
    await tenant.ready('payments');
    const next = (await tenant.serials('payments'))['server'];
    await eventually(async () => assert.equal(serialIn(await read()), next), { timeoutMs: 120_000 });
  });
});

/** The serial number of the first certificate, in lower-case hex. */
const serialIn = (pem: string): string => new X509Certificate(pem).serialNumber.toLowerCase();

const peakResidentKiB = (pid: number): number =>
  Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

const memoryOf = (bytes: number | undefined): string =>
  bytes === undefined ? 'an unknown part' : `${(bytes / MiB).toFixed(0)} MiB`;
