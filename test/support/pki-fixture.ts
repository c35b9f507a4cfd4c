import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { SecretFiles } from '../../tools/secret-volume.ts';
import { run } from './peers/process.ts';
import { scratchFolder } from './scratch.ts';

export type Usage = 'server' | 'client';

/** An authority made by the openssl command line. Its checks and certificates are independent of the project's code. */
export interface FixtureAuthority {
  /** A leaf with its own key for `names`, in openssl's syntax (`DNS:a.svc,URI:spiffe://…`). */
  issue(usage: Usage, names: string): Promise<SecretFiles>;
  /** An authority below this one. Its leaves come with its certificate. */
  intermediate(commonName: string): Promise<FixtureAuthority>;
}

export interface FixtureRoot extends FixtureAuthority {
  /** Certificate and key of an authority below this one, as the files of a root Secret. */
  signer(commonName: string): Promise<Readonly<Record<'tls.crt' | 'tls.key' | 'ca.crt', string>>>;
  /** Its empty CRL in PEM. */
  crl(): Promise<string>;
  /** Deletes its key and those of all authorities below it. */
  remove(): Promise<void>;
}

const configuration = `
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[ca]
default_ca = lists
[lists]
crl_extensions = list
[list]
authorityKeyIdentifier = keyid:always
`;

/** A self-signed P-256 root with this common name. Its leaves have the operator's profile. */
export async function opensslRoot(commonName: string): Promise<FixtureRoot> {
  const folder = await scratchFolder('root');
  await writeFile(join(folder, 'openssl.cnf'), configuration);
  const root = join(folder, 'root');
  await request(root, ['-extensions', 'authority', '-subj', `/CN=${commonName}`]);
  const own = authority(root, []);
  return {
    ...own,
    async signer(commonName) {
      const below = await own.sign('authority', commonName);
      const text = (path: string) => readFile(path, 'latin1');
      const [crt, key, anchor] = [`${below}.crt`, `${below}.key`, `${root}.crt`].map(text);
      return { 'tls.crt': (await crt) ?? '', 'tls.key': (await key) ?? '', 'ca.crt': (await anchor) ?? '' };
    },
    async crl() {
      const [database, numbers] = [join(folder, 'index.txt'), join(folder, 'crlnumber')];
      await Promise.all([writeFile(database, ''), writeFile(numbers, '01\n')]);
      const config = join(folder, 'lists.cnf');
      const files = `\n[lists]\ndatabase = ${database}\ncrlnumber = ${numbers}\ndefault_md = sha256\n`;
      await writeFile(config, configuration + files);
      const signer = ['-cert', `${root}.crt`, '-keyfile', `${root}.key`];
      const made = await run(['openssl', 'ca', '-gencrl', '-config', config, ...signer, '-crldays', '2']);
      if (made.code !== 0) throw new Error(`openssl failed:\n${made.stderr}`);
      return made.stdout;
    },
    remove: async () => rm(folder, { recursive: true, force: true }),
  };
}

interface SigningAuthority extends FixtureAuthority {
  /** Creates a certificate and its key. Returns their path without the suffix. */
  sign(extensions: string, subject: string, more?: readonly string[]): Promise<string>;
}

/**
 * The authority whose certificate and key are `path`.crt and `path`.key. `chain`: the certificates between it and the root.
 */
function authority(path: string, chain: readonly Buffer[]): SigningAuthority {
  let issued = 0;
  const sign = async (extensions: string, subject: string, more: readonly string[] = []): Promise<string> => {
    const next = `${path}-${++issued}`;
    const signer = ['-CA', `${path}.crt`, '-CAkey', `${path}.key`];
    await request(next, [...signer, '-extensions', extensions, '-subj', `/CN=${subject}`, ...more]);
    return next;
  };
  return {
    sign,
    async issue(usage, names) {
      const extensions = [`extendedKeyUsage = ${usage}Auth`, `subjectAltName = ${names}`];
      const leaf = await sign(
        'leaf',
        usage,
        extensions.flatMap((extension) => ['-addext', extension]),
      );
      return {
        'tls.crt': Buffer.concat([await readFile(`${leaf}.crt`), ...chain]),
        'tls.key': await readFile(`${leaf}.key`),
        'ca.crt': await readFile(join(dirname(path), 'root.crt')),
      };
    },
    async intermediate(commonName) {
      const below = await sign('authority', commonName);
      return authority(below, [await readFile(`${below}.crt`), ...chain]);
    },
  };
}

/** Creates a P-256 key and its certificate: `path`.key and `path`.crt. */
async function request(path: string, args: readonly string[]): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${path}.key`];
  const certificate = ['-x509', '-days', '2', '-config', join(dirname(path), 'openssl.cnf'), '-out', `${path}.crt`];
  const { code, stderr } = await run(['openssl', 'req', ...key, ...certificate, ...args]);
  if (code !== 0) throw new Error(`openssl failed:\n${stderr}`);
}
