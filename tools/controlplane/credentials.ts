import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The users with a static token, and their groups. */
const USERS = [
  { user: 'admin', group: 'system:masters' },
  { user: 'system:kube-controller-manager', group: '' },
] as const;

export type User = (typeof USERS)[number]['user'];

/** The credentials of the control plane's programs. They are created once for each data folder. */
export interface Credentials {
  /** For --token-auth-file. */
  readonly tokenFile: string;
  /** Signs ServiceAccount tokens; PEM. */
  readonly serviceAccountKeyFile: string;
  tokenOf(user: User): string;
}

/** Reads the credentials of a data folder. Creates them if necessary. */
export function credentialsIn(dir: string): Credentials {
  const tokenFile = join(dir, 'tokens.csv');
  const serviceAccountKeyFile = join(dir, 'service-account.key');
  if (!existsSync(tokenFile)) {
    const lines = USERS.map(({ user, group }) => `${randomBytes(24).toString('hex')},${user},${user},${group}\n`);
    writeFileSync(tokenFile, lines.join(''), { mode: 0o600 });
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
    tokenOf(user) {
      const token = tokens.get(user);
      if (token === undefined) throw new Error(`${tokenFile} has no token for user ${user}`);
      return token;
    },
  };
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
