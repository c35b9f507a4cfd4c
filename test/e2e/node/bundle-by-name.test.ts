import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { type ClusterTrustBundle, type ConfigMap, paths, type Secret } from '../../support/api.ts';
import { fileOf } from '../../support/behaviours/judge.ts';
import { busybox } from '../../support/conformance/manifests.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';
import { mountSecret, nodePeer, type Outcome, secretFiles } from '../../support/peers/index.ts';
import { scratchFolder } from '../../support/scratch.ts';

/** The authority with the default delay for ClusterTrustBundles, and one whose delay was lowered. */
const [patient, impatient] = ['patient', 'impatient'] as const;

/**
 * kubelet caches a bundle for five minutes from the start of the pod, and the roots change soon after that. So this delay, and the time
 * to issue certificates again, end before kubelet reads the bundle by name again.
 */
const loweredDelay = '1m';

/** A file of the pod, and what mounts it. */
type Mount = 'by-signer' | 'by-name' | 'impatient-by-signer' | 'impatient-by-name' | 'config-map' | 'secret';

const bundleOf = (authority: string): string => `mtls-operator.io:${authority}:roots`;

const volume = (name: Mount, source: object) => ({ name, projected: { sources: [source] } });
const bySigner = (name: Mount, authority: string) =>
  volume(name, {
    clusterTrustBundle: { signerName: `mtls-operator.io/${authority}`, labelSelector: {}, path: 'ca.crt' },
  });
const byName = (name: Mount, authority: string) =>
  volume(name, { clusterTrustBundle: { name: bundleOf(authority), path: 'ca.crt' } });

const volumes = [
  bySigner('by-signer', patient),
  byName('by-name', patient),
  bySigner('impatient-by-signer', impatient),
  byName('impatient-by-name', impatient),
  volume('config-map', { configMap: { name: 'roots' } }),
  volume('secret', { secret: { name: 'db-server-tls' } }),
];

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'reader' },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'reader',
        image: busybox,
        imagePullPolicy: 'Never',
        command: ['sleep', 'infinity'],
        volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/roots/${name}` })),
      },
    ],
    volumes,
  },
};

describe('a pod whose authority rotates its root', { skip: skipWithoutNode() }, () => {
  let node: TestNode;
  const world = installation({
    watched: false,
    startCluster: async () => {
      node = await startTestNode();
      return node;
    },
  });

  /** The number of roots in a PEM file. */
  const rootsIn = (pem: string): number => pem.match(/-----BEGIN CERTIFICATE-----/g)?.length ?? 0;
  let tenant: Tenant;
  /** The root and the server certificate of the impatient authority before the rotation. */
  let oldRoot: string;
  let certificate: string;
  const serverCertificate = async (): Promise<string> => fileOf(await tenant.secret('hasty-server-tls'), 'tls.crt');
  let folder: string;
  async function read(name: Mount): Promise<string> {
    const { stdout } = await node.run('cat', [`${folder}/kubernetes.io~projected/${name}/ca.crt`]);
    return stdout;
  }
  /** The number of roots that the pod can read. */
  const mounted = async (name: Mount): Promise<number> => rootsIn(await read(name));
  const phaseOf = async (authority: string): Promise<string | undefined> =>
    (await world.authority(authority)).status?.rotation?.phase;

  before(async () => {
    const rotation = { propagationDelay: '1s' };
    const trustBundle = { configMap: { name: 'roots' }, clusterTrustBundle: true };
    await world.createAuthority(patient, { secretName: patient, root: {}, rotation, trustBundle });
    await world.createAuthority(impatient, {
      secretName: impatient,
      root: {},
      rotation: { ...rotation, clusterTrustBundleDelay: loweredDelay },
      trustBundle: { clusterTrustBundle: true },
    });
    tenant = await world.tenant('reader');
    const { namespace } = tenant;
    await Promise.all([
      tenant.issue('db', { authorityRef: { name: patient }, server: { service: 'db' } }),
      tenant.issue('hasty', {
        authorityRef: { name: impatient },
        server: { service: 'hasty' },
        client: { serviceAccount: 'default' },
      }),
    ]);
    certificate = await serverCertificate();
    // kubelet looks for the files at once, and later only after a pause.
    for (const authority of [patient, impatient])
      await eventually(() => world.api.get(paths.clusterTrustBundles(bundleOf(authority))));
    await eventually(() => world.api.get(paths.configMaps(namespace, 'roots')));
    const { metadata } = await world.api.create(`/api/v1/namespaces/${namespace}/pods`, pod);
    folder = `/var/lib/kubelet/pods/${metadata.uid}/volumes`;
    await world.cluster.kubectl(['-n', namespace, 'wait', 'pod/reader', '--for=condition=Ready', '--timeout=180s']);
    for (const { name } of volumes) assert.equal(await mounted(name), 1, name);
    oldRoot = await read('impatient-by-name');

    const bundle = async (authority: string): Promise<string> =>
      (await world.api.get<ClusterTrustBundle>(paths.clusterTrustBundles(bundleOf(authority)))).spec.trustBundle;
    const published: Readonly<Partial<Record<Mount, () => Promise<string>>>> = {
      'by-signer': () => bundle(patient),
      'impatient-by-signer': () => bundle(impatient),
      'config-map': async () =>
        (await world.api.get<ConfigMap>(paths.configMaps(namespace, 'roots'))).data?.['ca.crt'] ?? '',
      secret: async () => fileOf(await tenant.secret('db-server-tls'), 'ca.crt'),
    };
    for (const authority of [patient, impatient]) await world.rotateRoot(authority, 'rotation');
    await Promise.all(
      Object.entries(published).map(async ([name, read]) => {
        await eventually(async () => assert.equal(rootsIn(await read()), 2, name));
        publishedAt.set(name as Mount, performance.now());
      }),
    );
  });

  const publishedAt = new Map<Mount, number>();
  /** Waits until the pod can read the new root, and says how long that took. */
  async function hasNewRoot(name: Mount, timeoutMs: number): Promise<string> {
    await eventually(async () => assert.equal(await mounted(name), 2, name), { timeoutMs });
    const since = publishedAt.get(name) ?? publishedAt.get('by-signer') ?? Number.NaN;
    return `${name}: ${((performance.now() - since) / 1000).toFixed(1)} s after the object changed`;
  }

  test('reads the new root soon from a Secret, a ConfigMap, and a ClusterTrustBundle by signerName', async (t) => {
    const names = ['by-signer', 'config-map', 'secret'] as const;
    for (const line of await Promise.all(names.map((name) => hasNewRoot(name, 120_000)))) t.diagnostic(line);
  });

  test('still reads only the old root from a ClusterTrustBundle by name', async () => {
    assert.equal(await mounted('by-name'), 1);
    assert.equal(await phaseOf(patient), 'Distributing');
  });

  test('refuses the new root by name after a lowered clusterTrustBundleDelay, because the root signs too early (1 min: that delay)', async () => {
    await eventually(async () => assert.notEqual(await serverCertificate(), certificate), { timeoutMs: 180_000 });
    // The delay is over, so kubelet needs longer than that to bring the new root by name.
    const roots = await read('impatient-by-name');
    assert.equal(roots, oldRoot);
    const { ok } = await connectTrusting(roots);
    assert.equal(ok, false, 'the client accepts a certificate of the new root');
    assert.partialDeepStrictEqual(await connectTrusting(await read('impatient-by-signer')), { ok: true });
  });

  /** A client that trusts these roots connects to a server with the certificates of the impatient authority. */
  async function connectTrusting(roots: string): Promise<Outcome> {
    const [server, client, trust] = await Promise.all([
      scratchFolder('server'),
      scratchFolder('client'),
      scratchFolder('trust'),
    ]);
    const mount = async (target: string, secret: Promise<Secret>) => mountSecret(target, secretFiles(await secret));
    await Promise.all([
      mount(server, tenant.secret('hasty-server-tls')),
      mount(client, tenant.secret('hasty-client-tls')),
      mountSecret(trust, { 'ca.crt': Buffer.from(roots) }),
    ]);
    const { port, stop } = await nodePeer.start(server);
    try {
      const serverName = `hasty.${tenant.namespace}.svc`;
      return await nodePeer.connect({ port, serverName, caFolder: trust, folder: client });
    } finally {
      await stop();
    }
  }

  test('reads the new root by name before it signs (5 min: kubelet caches the bundle)', async (t) => {
    const phases = new Set<string | undefined>();
    const line = await eventually(
      async () => {
        phases.add(await phaseOf(patient));
        return hasNewRoot('by-name', 0);
      },
      { timeoutMs: 400_000 },
    );
    t.diagnostic(line);
    assert.deepEqual([...phases], ['Distributing']);
  });
});
