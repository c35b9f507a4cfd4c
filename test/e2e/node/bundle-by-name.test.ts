import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { type ClusterTrustBundle, type ConfigMap, paths } from '../../support/api.ts';
import { fileOf } from '../../support/behaviours/judge.ts';
import { busybox } from '../../support/conformance/manifests.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';

/** The authority with the default delay for ClusterTrustBundles, and one whose delay was lowered. */
const [patient, impatient] = ['patient', 'impatient'] as const;

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
  let folder: string;
  /** The roots that the pod can read. */
  async function mounted(name: Mount): Promise<number> {
    const { stdout } = await node.run('cat', [`${folder}/kubernetes.io~projected/${name}/ca.crt`]);
    return rootsIn(stdout);
  }
  const phaseOf = async (authority: string): Promise<string | undefined> =>
    (await world.authority(authority)).status?.rotation?.phase;

  before(async () => {
    const rotation = { propagationDelay: '1s' };
    const trustBundle = { configMap: { name: 'roots' }, clusterTrustBundle: true };
    await world.createAuthority(patient, { secretName: patient, root: {}, rotation, trustBundle });
    await world.createAuthority(impatient, {
      secretName: impatient,
      root: {},
      rotation: { ...rotation, clusterTrustBundleDelay: '0s' },
      trustBundle: { clusterTrustBundle: true },
    });
    const tenant = await world.tenant('reader');
    const { namespace } = tenant;
    await tenant.issue('db', { authorityRef: { name: patient }, server: { service: 'db' } });
    // kubelet looks for the files at once, and later only after a pause.
    for (const authority of [patient, impatient])
      await eventually(() => world.api.get(paths.clusterTrustBundles(bundleOf(authority))));
    await eventually(() => world.api.get(paths.configMaps(namespace, 'roots')));
    const { metadata } = await world.api.create(`/api/v1/namespaces/${namespace}/pods`, pod);
    folder = `/var/lib/kubelet/pods/${metadata.uid}/volumes`;
    await world.cluster.kubectl(['-n', namespace, 'wait', 'pod/reader', '--for=condition=Ready', '--timeout=60s']);
    for (const { name } of volumes) assert.equal(await mounted(name), 1, name);

    const published: Readonly<Partial<Record<Mount, () => Promise<string>>>> = {
      'by-signer': async () =>
        (await world.api.get<ClusterTrustBundle>(paths.clusterTrustBundles(bundleOf(patient)))).spec.trustBundle,
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
    for (const line of await Promise.all(names.map((name) => hasNewRoot(name, 60_000)))) t.diagnostic(line);
  });

  test('still reads only the old root from a ClusterTrustBundle by name', async () => {
    assert.equal(await mounted('by-name'), 1);
    assert.equal(await phaseOf(patient), 'Distributing');
  });

  test('does not trust the new root when it signs, if clusterTrustBundleDelay is lowered and the pod mounts by name', async () => {
    await eventually(async () => assert.notEqual(await phaseOf(impatient), 'Distributing'));
    assert.equal(await mounted('impatient-by-name'), 1);
  });

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
