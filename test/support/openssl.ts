import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { scratchFolder } from './scratch.ts';

const folder = await scratchFolder('openssl');
let files = 0;

/** The path of a new file in a folder that only this user can read. `text`: its content. */
export function scratchFile(text?: string): string {
  const path = join(folder, `${++files}.pem`);
  if (text !== undefined) writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Runs the openssl command line and returns its stdout. Throws with its stderr if it fails. */
export function openssl(args: readonly string[], input: string | Buffer = ''): string {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input, encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
  return stdout;
}

/** Runs openssl with an output file, and returns the content of the file. */
export function opensslFile(args: readonly string[], input?: string): string {
  const out = scratchFile();
  openssl([...args, '-out', out], input);
  return readFileSync(out, 'utf8');
}

export type Purpose = 'sslserver' | 'sslclient' | 'smimesign';

/**
 * Why `openssl verify -x509_strict` refuses a leaf under these roots at this moment. Intermediates may follow the leaf.
 * Undefined if openssl accepts it.
 */
export function opensslRefusal(
  leafPem: string,
  rootPem: string,
  purpose: Purpose,
  at: Date,
  { strict = true } = {},
): string | undefined {
  const moment = ['-attime', String(Math.floor(at.getTime() / 1000))];
  const trust = ['-CAfile', scratchFile(rootPem), '-no-CApath', '-no-CAstore', '-purpose', purpose];
  const leaf = scratchFile(leafPem);
  const args = ['verify', ...(strict ? ['-x509_strict'] : []), ...moment, ...trust, '-untrusted', leaf, leaf];
  const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8', timeout: 60_000 });
  return status === 0 ? undefined : `${stdout}${stderr}`;
}

/** A root that a user creates with `openssl req -x509`. */
export interface OpensslRoot {
  readonly crt: string;
  readonly key: string;
}

export interface OpensslRootOptions {
  /** Options of `openssl genpkey`; P-256 by default. */
  readonly key?: readonly string[];
  /** PEM of an existing key to use. */
  readonly keyPem?: string;
  /** `-sha256` by default; empty for key types with a built-in digest. */
  readonly digest?: readonly string[];
  /** Lines of an extension section; by default those of a valid root. */
  readonly extensions?: readonly string[];
  readonly subject?: string;
  /** More lines of the section [req], for instance a string_mask. */
  readonly settings?: readonly string[];
  readonly more?: readonly string[];
}

/** A moment at which everything that this file creates is valid, however slow the machine. */
export const present = new Date(Date.now() + 3_600_000);

export const goodRoot = [
  'basicConstraints = critical, CA:TRUE',
  'keyUsage = critical, keyCertSign, cRLSign',
  'subjectKeyIdentifier = hash',
];
export const p256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** Creates a certificate, valid from now for thirty days. It is self-signed unless options say otherwise. */
export function opensslRoot(options: OpensslRootOptions = {}): OpensslRoot {
  const { extensions = goodRoot, subject = '/CN=Brought', digest = ['-sha256'] } = options;
  const key = options.keyPem ?? openssl(['genpkey', ...(options.key ?? p256)]);
  const config = scratchFile(
    `[req]\ndistinguished_name = subject\n${(options.settings ?? []).join('\n')}\n[subject]\n[root]\n${extensions.join('\n')}\n`,
  );
  const request = ['-x509', '-new', '-key', scratchFile(key), '-config', config, '-extensions', 'root'];
  const crt = opensslFile(['req', ...request, '-subj', subject, ...digest, '-days', '30', ...(options.more ?? [])]);
  return { crt, key };
}
