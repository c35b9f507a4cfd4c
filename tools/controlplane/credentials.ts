import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  encodeCertificates,
  encodePrivateKey,
  generatePrivateKey,
  KeySigner,
  prepareRoot,
} from '../../src/pki/index.ts';

/** The name of the cluster's only node. */
export const NODE_NAME = 'node-1';

/** The users with a static token, and their groups. */
const USERS = [
  { user: 'admin', group: 'system:masters' },
  { user: 'system:kube-controller-manager', group: '' },
  { user: 'system:kube-scheduler', group: '' },
  { user: `system:node:${NODE_NAME}`, group: 'system:nodes' },
] as const;

export type User = (typeof USERS)[number]['user'];

/** The credentials of the control plane's programs. They are created once for each data folder. */
export interface Credentials {
  /** For --token-auth-file. */
  readonly tokenFile: string;
  /** Signs ServiceAccount tokens; PEM. */
  readonly serviceAccountKeyFile: string;
  /** Where `writeKubeletClient` puts the API server's client certificate for kubelet and its key; PEM. */
  readonly kubeletClient: { readonly certificateFile: string; readonly keyFile: string };
  readonly tokenOf: (user: User) => string;
}

/** Reads the credentials of a data folder. Creates them if necessary. */
export function credentialsIn(dir: string): Credentials {
  const tokenFile = join(dir, 'tokens.csv');
  const serviceAccountKeyFile = join(dir, 'service-account.key');
  const existing = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8') : '';
  // A folder of an earlier version may lack a user.
  const missing = USERS.filter(({ user }) => !existing.includes(`,${user},`));
  if (missing.length > 0) {
    const lines = missing.map(({ user, group }) => `${randomBytes(24).toString('hex')},${user},${user},${group}\n`);
    writeFileSync(tokenFile, existing + lines.join(''), { mode: 0o600 });
  }
  if (!existsSync(serviceAccountKeyFile)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(serviceAccountKeyFile, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  }
  const tokens = new Map(
    readFileSync(tokenFile, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [token = '', user = ''] = line.split(',');
        return [user, token];
      }),
  );
  return {
    tokenFile,
    serviceAccountKeyFile,
    kubeletClient: { certificateFile: join(dir, 'kubelet-client.crt'), keyFile: join(dir, 'kubelet-client.key') },
    tokenOf(user) {
      const token = tokens.get(user);
      if (token === undefined) throw new Error(`${tokenFile} has no token for user ${user}`);
      return token;
    },
  };
}

/** Creates the certificate with which the API server connects to kubelet, unless it exists. It is its own CA. */
export async function writeKubeletClient({ kubeletClient }: Credentials): Promise<void> {
  const { certificateFile, keyFile } = kubeletClient;
  if (existsSync(certificateFile)) return;
  const key = await generatePrivateKey({ algorithm: 'ECDSA', size: 256 });
  const profile = { subject: { commonName: 'kube-apiserver' }, durationMs: 365 * 86_400_000 };
  const root = await prepareRoot(profile, new KeySigner(key), { now: new Date(), serialSeed: randomBytes(20) }).sign();
  writeFileSync(keyFile, encodePrivateKey(key, 'PKCS8'), { mode: 0o600 });
  writeFileSync(certificateFile, encodeCertificates([root]));
}

/** Writes a kubeconfig with a bearer token that only its owner can read. `ca` is PEM. JSON is valid YAML. */
export function writeKubeconfig(path: string, server: string, ca: string, token: string): void {
  const name = 'mtls-operator';
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name, user: { token } }],
  };
  writeFileSync(path, `${JSON.stringify(kubeconfig, null, 2)}\n`, { mode: 0o600 });
}
