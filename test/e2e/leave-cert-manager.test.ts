import assert from 'node:assert/strict';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { labels } from '../../src/api/constants.ts';
import { paths, type Secret } from '../support/api.ts';
import { broughtRoot } from '../support/behaviours/brought-root.ts';
import { certManagerCrds } from '../support/cert-manager/crds.ts';
import { type CertManager, startCertManager } from '../support/cert-manager.ts';
import { type Reader, runPage } from '../support/docs/run-page.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { type Mesh, peersOfMesh, type Role, startMesh } from '../support/mesh/mesh.ts';
import { secretFiles, unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const names = ['payments', 'catalog', 'orders', 'billing'] as const;
const roles = ['server', 'client'] as const;
const secretNames = names.flatMap((name) => roles.map((role) => `${name}-${role}-tls`));
/** cert-manager lets it encrypt keys, which an ECDSA key cannot do. So the operator issues it again. */
const unequal = 'orders-client-tls';
/** The reader joins its two roles in one MtlsCertificate. The other MtlsCertificates stay as the import has written them. */
const joined = 'billing';
const mtlsCertificateOf = (name: string, role: string): string => (name === joined ? joined : `${name}-${role}`);

/** What `npm run import` needs of a clone of the repository. */
const clone = ['package.json', 'package-lock.json', 'node_modules', 'tools', 'src'];

const world = installation();
let certManager: CertManager | undefined;
let mesh: Mesh | undefined;
let original: ReadonlyMap<string, Secret>;

after(async () => {
  await mesh?.stop();
  await certManager?.stop();
});

const shopSecrets = async (): Promise<ReadonlyMap<string, Secret>> =>
  new Map(
    await Promise.all(secretNames.map(async (name) => [name, await world.tenantOf('shop').secret(name)] as const)),
  );

/** Installs cert-manager, lets it issue all certificates, and starts the programs that use them. */
async function useCertManager({ folder }: Reader): Promise<void> {
  const { cluster } = world;
  await cluster.kubectl(['apply', '--server-side', '-f', await certManagerCrds()]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', '--all']);
  // The API server serves a kind a moment after its CRD is Established.
  const kinds = 'certificates.cert-manager.io,clusterissuers.cert-manager.io';
  await eventually(() => cluster.kubectl(['get', kinds, '--all-namespaces']), { timeoutMs: 120_000 });
  for (const namespace of ['cert-manager', 'shop']) await cluster.kubectl(['create', 'namespace', namespace]);
  const root = await broughtRoot({ commonName: 'Example Org CA' });
  await cluster.kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(listOf(caObjects(root))) });
  certManager = await startCertManager(cluster.kubeconfig);
  await cluster.kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(listOf(certificates())) });
  await cluster.kubectl(['-n', 'shop', 'wait', 'cert', '--all', '--for=condition=Ready', '--timeout=180s']);
  original = await shopSecrets();
  for (const [name, { metadata }] of original)
    assert.equal(metadata.ownerReferences?.[0]?.name, name.replace(/-tls$/, ''), 'cert-manager owns the Secret');
  for (const name of clone) symlinkSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), join(folder, name));
  await startTraffic();
}

const listOf = (items: readonly object[]): object => ({ apiVersion: 'v1', kind: 'List', items });

const caObjects = (root: Readonly<Record<string, string>>): readonly object[] => [
  {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { namespace: 'cert-manager', name: 'org-ca' },
    stringData: { 'tls.crt': root['tls.crt'], 'tls.key': root['tls.key'] },
  },
  {
    apiVersion: 'cert-manager.io/v1',
    kind: 'ClusterIssuer',
    metadata: { name: 'org' },
    spec: { ca: { secretName: 'org-ca' } },
  },
];

function certificates(): readonly object[] {
  return names.flatMap((name) => {
    const services = [name, `${name}.shop`, `${name}.shop.svc`, `${name}.shop.svc.cluster.local`];
    const parts = {
      server: { dnsNames: services, usages: ['digital signature', 'server auth'] },
      client: {
        uris: [`spiffe://cluster.local/ns/shop/sa/${name}`],
        usages: ['digital signature', ...(name === 'orders' ? ['key encipherment'] : []), 'client auth'],
      },
    };
    return roles.map((role) => ({
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: { namespace: 'shop', name: `${name}-${role}` },
      spec: {
        ...parts[role],
        secretName: `${name}-${role}-tls`,
        issuerRef: { kind: 'ClusterIssuer', name: 'org' },
        privateKey: { algorithm: 'ECDSA', size: 256, encoding: 'PKCS8', rotationPolicy: 'Always' },
      },
    }));
  });
}

function joinRoles(folder: string): void {
  for (const role of roles) rmSync(join(folder, 'mtls', `certificate_shop_${joined}-${role}.yaml`));
  const manifest = {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata: { name: joined, namespace: 'shop' },
    spec: {
      authorityRef: { name: 'org' },
      server: { service: joined, secretName: `${joined}-server-tls` },
      client: { serviceAccount: joined, secretName: `${joined}-client-tls` },
      deletionPolicy: 'Retain',
    },
  };
  writeFileSync(join(folder, 'mtls', `${joined}.yaml`), JSON.stringify(manifest));
}

/** Every client connects to every server all the time, from mounted copies of the Secrets. */
async function startTraffic(): Promise<void> {
  const filesOf = (name: string, role: Role) => secretFiles(original.get(`${name}-${role}-tls`) as Secret);
  const workloads = names.map((name) => ({
    name,
    serverName: `${name}.shop.svc`,
    secrets: { server: filesOf(name, 'server'), client: filesOf(name, 'client') },
  }));
  const started = await startMesh(workloads, { base: await scratchFolder('hand-over'), slowestLagMs: 300 });
  mesh = started;
  world.watched.follow((secret) => {
    const [, name, role] = /^(\w+)-(server|client)-tls$/.exec(secret.metadata.name) ?? [];
    if (secret.metadata.namespace !== 'shop' || name === undefined || !names.some((one) => one === name)) return;
    started.deliver(name, role as Role, { files: secretFiles(secret), writtenAt: Date.now() });
  });
  await started.ledger.everyPairMeets();
}

function traffic(): Mesh {
  assert.ok(mesh !== undefined);
  return mesh;
}

/** Waits until all programs use the current Secrets and all pairs have met. */
async function noneFailed(when: string): Promise<void> {
  await traffic().settled();
  await traffic().ledger.everyPairMeets();
  const { entries, failed } = traffic().ledger;
  assert.deepEqual(failed.slice(0, 3), [], when);
  console.log(`${when}: ${entries.length} handshakes, ${failed.length} failed`);
}

const fingerprint = ({ data }: Secret): string => JSON.stringify(data);

const skip = unlessInstalled(...peersOfMesh);
if (skip === false) followPage();

function followPage(): void {
  runPage('docs/how-to/leave-cert-manager.md', world, {
    before: async (reader) => {
      await useCertManager(reader);
      await noneFailed('cert-manager');
    },
    slow: { '4. Stop cert-manager for the namespace': '35 s: the garbage collector finds new kinds every 30 s' },
    notRun: { '--for=delete pod': 'there is no kubelet: no pod runs' },
    instead: {
      '--replicas=0': async () => certManager?.stop(),
      '--replicas=1': async ({ world: { cluster } }) => {
        certManager = await startCertManager(cluster.kubeconfig);
      },
    },
    after: {
      '1. Convert the manifests': async ({ folder }) => joinRoles(folder),
      '2. Give the CA to the operator': async () => {
        const root = await world.rootSecret('org-ca');
        const ca = await world.api.get<Secret>(`${paths.secrets('cert-manager')}/org-ca`);
        assert.equal(root.data?.['tls.crt'], ca.data?.['tls.crt']);
      },
      '3. Try it': async () => {
        for (const name of names)
          for (const role of roles)
            await world.tenantOf('shop').notReady(mtlsCertificateOf(name, role), 'SecretConflict');
        for (const [name, secret] of await shopSecrets())
          assert.ok(fingerprint(secret) === fingerprint(original.get(name) as Secret), name);
      },
      '5. Hand over the Secrets': async () => {
        for (const [name, secret] of await shopSecrets()) {
          const [program = '', role = ''] = name.split('-');
          assert.equal(secret.metadata.labels?.[labels.certificate], mtlsCertificateOf(program, role));
          assert.deepEqual(secret.metadata.ownerReferences ?? [], [], 'Retain: nothing deletes the Secret');
          const isSame = fingerprint(secret) === fingerprint(original.get(name) as Secret);
          assert.equal(isSame, name !== unequal, `${name} was ${isSame ? 'kept' : 'changed'}`);
          const states = await world.watched.upTo(secret);
          const contents = new Set(
            states.map(fingerprint).filter((_, index) => states[index]?.metadata.labels?.[labels.role]),
          );
          assert.equal(contents.size, isSame ? 1 : 2, `${name} had a content in between`);
        }
        await noneFailed('handed over');
      },
      'Go back': async () => {
        await noneFailed('back at cert-manager');
      },
    },
  });
}

describe('a hand-over to another root', { skip }, () => {
  test('fails handshakes, so the traffic of this test notices a bad hand-over', async () => {
    const spec = { authorityRef: { name: 'default' }, server: { service: 'payments' } };
    await world.tenantOf('shop').issue('naive', spec);
    const files = secretFiles(await world.tenantOf('shop').secret('naive-server-tls'));
    traffic().deliver('payments', 'server', { files, writtenAt: Date.now() });
    await eventually(() => assert.notEqual(traffic().ledger.failed.length, 0), { timeoutMs: 60_000 });
  });
});
