import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { defineResource, type KubeObject, namespaces, secrets } from '../../src/kube/index.ts';
import { encodeCertificates, encodePrivateKey } from '../../src/pki/index.ts';
import { guardProcess } from '../../tools/controlplane/guard.ts';
import { eventually } from '../support/eventually.ts';
import { issueRoot } from '../support/sign.ts';
import { type Contestant, isReady, type Pair } from './contestant.ts';
import type { Plane } from './plane.ts';

/** How to run another project's controller. */
export interface Peer {
  readonly name: string;
  /** A shell command. Its KUBECONFIG is an administrator's. */
  readonly command: string;
  /** A folder with its CRDs. */
  readonly crds: string;
}

const group = { group: 'cert-manager.io', version: 'v1' };
const certificates = defineResource<KubeObject>({
  ...group,
  plural: 'certificates',
  kind: 'Certificate',
  namespaced: true,
});
const issuers = defineResource<KubeObject>({
  ...group,
  plural: 'clusterissuers',
  kind: 'ClusterIssuer',
  namespaced: false,
});

/** The default namespace for the Secrets of ClusterIssuers. */
const rootNamespace = 'cert-manager';
const issuer = 'bench';

interface Certificate extends KubeObject {
  readonly status?: { readonly revision?: number };
}

/** A controller for cert-manager's `Certificate`, with a CA ClusterIssuer and the same names, keys and lifetimes. */
export const certManagerContestant = ({ name, command, crds }: Peer): Contestant => ({
  name,
  resource: certificates,
  certificatesPerObject: 1,
  requestsFor: requests,
  isIssued: (object, times) => isReady(object) && ((object as Certificate).status?.revision ?? 0) >= times,
  async prepare({ cluster, client }) {
    await cluster.kubectl(['apply', '--server-side', '-f', crds]);
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', '--all']);
    await client.create(namespaces, { metadata: { name: rootNamespace } });
    await client.create(secrets, rootSecret());
    const spec = { ca: { secretName: issuer } };
    // The API server serves a kind a moment after its CRD is Established.
    await eventually(() => client.create(issuers, { metadata: { name: issuer }, spec } as KubeObject));
  },
  start: (plane) => startPeer(plane, command),
});

async function startPeer({ cluster, client }: Plane, command: string) {
  // With `exec`, the pid is that of the program, not of a shell.
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  guardProcess(child);
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`the peer ended; the end of its standard error:\n${errors}`);
      if (!isReady(await client.get(issuers, { name: issuer })))
        throw new Error('the ClusterIssuer of the peer is not ready');
    },
    { timeoutMs: 120_000 },
  );
  return {
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function rootSecret() {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const context = { now: new Date(), serialSeed: randomBytes(20) };
  const root = issueRoot({ subject: { commonName: 'Bench Root' }, durationMs: 10 * 365 * 86_400_000 }, key, context);
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const data = {
    'tls.crt': base64(encodeCertificates([root])),
    'tls.key': base64(encodePrivateKey(key, 'PKCS8')),
    'ca.crt': base64(encodeCertificates([root])),
  };
  return { metadata: { namespace: rootNamespace, name: issuer }, type: 'kubernetes.io/tls', data };
}

function requests({ namespace, name, key = { algorithm: 'ECDSA', size: 256 }, lifetime }: Pair): KubeObject[] {
  const common = {
    issuerRef: { kind: 'ClusterIssuer', name: issuer },
    privateKey: { ...key, encoding: 'PKCS8', rotationPolicy: 'Always' },
    ...(lifetime ?? { duration: '2160h' }),
  };
  const service = [name, `${name}.${namespace}`, `${name}.${namespace}.svc`, `${name}.${namespace}.svc.cluster.local`];
  const specs = {
    server: { ...common, dnsNames: service, usages: ['digital signature', 'server auth'] },
    client: {
      ...common,
      uris: [`spiffe://cluster.local/ns/${namespace}/sa/${name}`],
      usages: ['digital signature', 'client auth'],
    },
  };
  return Object.entries(specs).map(([role, spec]) => {
    const object = {
      metadata: { namespace, name: `${name}-${role}` },
      spec: { ...spec, secretName: `${name}-${role}-tls` },
    };
    return object;
  });
}
