import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { scratchFolder } from '../scratch.ts';
import { openssl } from './judge.ts';

/** The options of a root that a user creates with the openssl command line. */
export interface BroughtRootOptions {
  readonly commonName?: string;
  /** Arguments of `openssl req -newkey`. Default P-256. */
  readonly key?: readonly string[];
  /** Default sha256. */
  readonly digest?: string;
  /** Default one minute ago. */
  readonly notBefore?: Date;
  /** Default in ten years. */
  readonly notAfter?: Date;
  /** Lines of an openssl extension section. Default: those of a valid root. */
  readonly extensions?: readonly string[];
}

/** PEM, by the file names of a root Secret. */
export type BroughtRoot = Readonly<Record<'tls.crt' | 'tls.key', string>>;

export const keys = {
  p256: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  rsa1024: ['rsa:1024'],
  rsa2048: ['rsa:2048'],
  ed25519: ['ed25519'],
} as const;

const usages = ['keyUsage = critical, keyCertSign, cRLSign'];
const isCa = ['basicConstraints = critical, CA:TRUE'];
const keyId = ['subjectKeyIdentifier = hash'];

/** Extension sections: of a valid root, and variations of it. */
export const extensions = {
  root: [...isCa, ...usages, ...keyId],
  notCa: ['basicConstraints = critical, CA:FALSE', ...keyId],
  cannotSign: [...isCa, 'keyUsage = critical, cRLSign', ...keyId],
  constrainedTo: (dnsName: string) => [
    ...isCa,
    ...usages,
    ...keyId,
    `nameConstraints = critical, permitted;DNS:${dnsName}`,
  ],
} as const;

/** Creates a self-signed root. Deletes all files afterwards. */
export async function broughtRoot(options: BroughtRootOptions = {}): Promise<BroughtRoot> {
  const { commonName = 'Brought Root', key = keys.p256, digest = 'sha256' } = options;
  const notBefore = options.notBefore ?? new Date(Date.now() - 60_000);
  const notAfter = options.notAfter ?? new Date(Date.now() + 10 * 365 * 24 * 3_600_000);
  const folder = await scratchFolder('brought-root');
  const at = (file: string): string => join(folder, file);
  try {
    await Promise.all([
      writeFile(at('ca.cnf'), configuration(folder, options.extensions ?? extensions.root)),
      writeFile(at('index.txt'), ''),
    ]);
    const config = ['-config', at('ca.cnf')];
    const request = ['-new', '-nodes', '-keyout', at('key.pem'), '-out', at('root.csr'), '-subj', `/CN=${commonName}`];
    await openssl(['req', ...config, ...request, '-newkey', ...key]);
    const validity = ['-startdate', generalizedTime(notBefore), '-enddate', generalizedTime(notAfter)];
    const files = ['-keyfile', at('key.pem'), '-in', at('root.csr'), '-out', at('root.crt'), '-outdir', folder];
    // Ed25519 signs without a separate digest.
    const md = ['-md', key[0] === 'ed25519' ? 'null' : digest];
    await openssl(['ca', ...config, '-batch', '-notext', '-selfsign', ...md, ...validity, ...files]);
    const [crt, keyPem] = await Promise.all([readFile(at('root.crt'), 'utf8'), readFile(at('key.pem'), 'utf8')]);
    return { 'tls.crt': crt, 'tls.key': keyPem };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** YYYYMMDDHHMMSSZ. */
const generalizedTime = (date: Date): string => `${date.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;

const configuration = (folder: string, section: readonly string[]): string => `
[req]
distinguished_name = subject
[subject]
[ca]
default_ca = root
[root]
database = ${join(folder, 'index.txt')}
policy = policy
x509_extensions = extensions
unique_subject = no
rand_serial = yes
[policy]
commonName = supplied
[extensions]
${section.join('\n')}
`;
