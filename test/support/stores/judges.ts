import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missing } from '../missing.ts';
import { compiled } from '../peers/compiled.ts';
import { run } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';
import { byProgram, eachAlone, fingerprintsIn, privateKeyIn, type Reading, type StoreJudge } from './judge.ts';

const here = import.meta.dirname;

/** `openssl pkcs12`. */
export const openssl: StoreJudge = {
  name: 'OpenSSL',
  wrongPassword: /Mac verify error: invalid password/,
  showsKey: true,
  missing: missing.openssl,
  read: eachAlone(async ({ path, password }) => {
    const decrypted = ['-noenc', '-passin', `pass:${password}`];
    const { code, stdout, stderr } = await run(['openssl', 'pkcs12', '-in', path, ...decrypted]);
    if (code !== 0) return { error: stderr };
    const aliases = [...stdout.matchAll(/friendlyName: (\S+)/g)].map(([, alias]) => String(alias));
    return { certificates: fingerprintsIn(stdout), aliases: [...new Set(aliases)], ...privateKeyIn(stdout) };
  }),
};

/** GnuTLS. Its output has the encrypted private key, which certtool decrypts in a second run. */
const gnutls: StoreJudge = {
  name: 'GnuTLS',
  // Only this line is always printed: 1 of 256 wrong keys decrypts to valid padding, and the next line differs then.
  wrongPassword: /The Message Authentication Code verification failed/,
  showsKey: true,
  missing: missing.certtool,
  read: eachAlone(async ({ path, password }) => {
    const withPassword = ['--password', password];
    const info = ['--p12-info', '--inder', '--infile', path];
    const { code, stdout, stderr } = await run(['certtool', ...info, ...withPassword]);
    if (code !== 0) return { error: stderr };
    const aliases = [...stdout.matchAll(/Friendly name: (\S+)/g)].map(([, alias]) => String(alias));
    const found = { certificates: fingerprintsIn(stdout), aliases: [...new Set(aliases)] };
    const [encrypted] =
      /-----BEGIN ENCRYPTED PRIVATE KEY-----[^-]+-----END ENCRYPTED PRIVATE KEY-----/.exec(stdout) ?? [];
    if (encrypted === undefined) return found;
    await writeFile(`${path}.key`, encrypted, { mode: 0o600 });
    const key = await run(['certtool', '--pkcs8', '--to-p8', '--load-privkey', `${path}.key`, ...withPassword]);
    return key.code === 0 ? { ...found, ...privateKeyIn(key.stdout, password) } : { error: key.stderr };
  }),
};

/** NSS. pk12util imports a keystore into a new database, with its key. For a truststore it only lists the certificates. */
const nss: StoreJudge = {
  name: 'NSS',
  wrongPassword: /SEC_ERROR_BAD_PASSWORD/,
  showsKey: false,
  missing: missing.pk12util,
  read: eachAlone(async ({ kind, path, password }) => {
    const listed = await run(['pk12util', '-l', path, '-W', password]);
    if (listed.code !== 0) return { error: listed.stderr };
    const fingerprints = [...listed.stdout.matchAll(/Fingerprint \(SHA-256\):\s+([0-9A-F:]+)/g)];
    const found = { certificates: fingerprints.map(([, hex]) => String(hex).replaceAll(':', '').toLowerCase()) };
    return kind === 'truststore' ? found : imported(path, password, found);
  }),
};

/** The reading, if the database has the private key after the import. */
async function imported(path: string, password: string, found: Reading): Promise<Reading> {
  const database = await scratchFolder('nss');
  try {
    const there = ['-d', `sql:${database}`];
    for (const command of [
      ['certutil', '-N', ...there, '--empty-password'],
      ['pk12util', '-i', path, '-W', password, ...there],
      ['certutil', '-K', ...there, '-n', 'certificate'],
    ] as const) {
      const { code, stdout, stderr } = await run(command);
      if (code !== 0) return { error: `${stdout}${stderr}` };
    }
    return found;
  } finally {
    await rm(database, { recursive: true });
  }
}

/** Options for a JVM that runs for a second. */
const fastStart = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** Java's KeyStore API, and the key and trust managers of its TLS. It also opens PKCS#12 as type JKS. */
const javaAs = (type: 'PKCS12' | 'JKS'): StoreJudge => ({
  name: `Java's KeyStore of type ${type}`,
  wrongPassword: /keystore password was incorrect/,
  showsKey: true,
  missing: missing.jdk,
  read: byProgram(async () => {
    const source = join(here, 'java', 'StoreReader.java');
    const folder = await compiled('java-stores', [source], (output) => ({
      command: ['javac', '--release', '17', '-d', output, source],
    }));
    return ['java', ...fastStart, '-cp', folder, 'StoreReader', type];
  }),
});

/** `keytool -list`. */
const keytool: StoreJudge = {
  name: 'keytool',
  wrongPassword: /keystore password was incorrect/,
  showsKey: false,
  missing: missing.jdk,
  read: eachAlone(async ({ kind, path, password }) => {
    const list = [
      '-list',
      '-rfc',
      '-keystore',
      path,
      '-storepass',
      password,
      ...fastStart.map((option) => `-J${option}`),
      '-J-Duser.language=en',
    ];
    const { code, stdout } = await run(['keytool', ...list]);
    if (code !== 0) return { error: stdout };
    const types = [...stdout.matchAll(/^Entry type: (\w+)/gm)].map(([, type]) => type);
    const expected = kind === 'keystore' ? 'PrivateKeyEntry' : 'trustedCertEntry';
    if (types.some((type) => type !== expected)) return { error: `entries of type ${types.join(', ')}` };
    const aliases = [...stdout.matchAll(/^Alias name: (\S+)/gm)].map(([, alias]) => String(alias));
    return { certificates: fingerprintsIn(stdout), aliases };
  }),
};

/** go-pkcs12, which refuses everything unexpected. */
const go: StoreJudge = {
  name: 'Go',
  wrongPassword: /decryption password incorrect/,
  showsKey: true,
  missing: missing.go,
  read: byProgram(async () => {
    const sources = join(here, 'go');
    const files = ['go.mod', 'go.sum', 'main.go'].map((name) => join(sources, name));
    const folder = await compiled('go-stores', files, (output) => ({
      command: ['go', 'build', '-o', output, '.'],
      cwd: sources,
    }));
    return [join(folder, 'stores')];
  }),
};

/** pyca/cryptography. */
const python: StoreJudge = {
  name: 'Python',
  wrongPassword: /Invalid password or PKCS12 data/,
  showsKey: true,
  missing: missing.cryptography,
  read: byProgram(() => ['python3', join(here, 'python', 'reader.py')]),
};

/** All programs that read keystores. */
export const judges: readonly StoreJudge[] = [
  openssl,
  javaAs('PKCS12'),
  javaAs('JKS'),
  keytool,
  go,
  gnutls,
  nss,
  python,
];
