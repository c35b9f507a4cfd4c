import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Secret, Stored } from '../api.ts';
import { run } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';

/** The openssl command line's description of the leaf in a Secret. */
export interface Judged {
  /** Lower-case hex, as in status. */
  readonly serialNumber: string;
  readonly fingerprint: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** RFC 2253. */
  readonly subject: string;
  /** As openssl prints them, sorted: `DNS:a.svc`, `IP Address:…`, `URI:…`. */
  readonly names: readonly string[];
  /** As openssl prints it, for instance `TLS Web Server Authentication`. */
  readonly usage: string;
  /** PEM of the public key. */
  readonly publicKey: string;
  /** As openssl prints it: `Private-Key: (256 bit)`, `ED25519 Private-Key:`. */
  readonly keyKind: string;
  /** The PEM label of tls.key: `PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`. */
  readonly keyLabel: string;
  /** Fingerprints of the certificates in ca.crt, in their order. */
  readonly roots: readonly string[];
}

const purposes = { server: ['sslserver'], client: ['sslclient'], peer: ['sslserver', 'sslclient'] } as const;

/**
 * Checks a Secret with the openssl command line alone: ca.crt verifies tls.crt strictly for the purposes of the role, with
 * the intermediates in tls.crt, and tls.key belongs to tls.crt. Throws an AssertionError that says what is wrong and never
 * contains the key.
 */
export const judge = (secret: Secret): Promise<Judged> => judgeBy(secret, ['-x509_strict']);

/** `judge` without the extra requirements that openssl has for CAs in strict mode. */
export const judgeLeniently = (secret: Secret): Promise<Judged> => judgeBy(secret, []);

async function judgeBy(secret: Secret, how: readonly string[]): Promise<Judged> {
  const certificate = fileOf(secret, 'tls.crt');
  const [description, key, roots] = await Promise.all([
    describeCertificate(certificate),
    describeKey(fileOf(secret, 'tls.key')),
    Promise.all(certificatesIn(fileOf(secret, 'ca.crt')).map(fingerprintOf)),
    verify(secret, how),
  ]);
  assert.equal(key.publicKey, description.publicKey, `${secret.metadata.name}: tls.key does not belong to tls.crt`);
  return { ...description, ...key, roots };
}

/** The SHA-256 fingerprint of a PEM certificate, lower-case hex. */
export async function fingerprintOf(certificate: string): Promise<string> {
  const printed = await openssl(['x509', '-noout', '-fingerprint', '-sha256'], certificate);
  return hex(printed.split('=')[1] ?? '');
}

/** The public key of a PEM private key, as PEM. */
export const publicKeyOf = async (secret: Secret): Promise<string> =>
  openssl(['pkey', '-pubout'], fileOf(secret, 'tls.key'));

/** The text of one file of a Secret. Throws if the file is missing. */
export function fileOf(secret: Secret, name: string): string {
  const value = secret.data?.[name];
  assert.ok(value !== undefined, `Secret ${secret.metadata.name} has no ${name}`);
  return Buffer.from(value, 'base64').toString();
}

/** A digest of an object without its managedFields: equal for byte-identical objects. Safe to print. */
export function digestOf({ metadata, ...rest }: Stored): string {
  const seen = { ...rest, metadata: { ...metadata, managedFields: undefined } };
  return createHash('sha256').update(JSON.stringify(seen)).digest('hex');
}

/** Runs openssl with an input and returns its output. Throws with its stderr if it fails. */
export async function openssl(args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await run(['openssl', ...args], { input });
  assert.equal(code, 0, `openssl ${args[0]} failed: ${stderr}`);
  return stdout;
}

async function verify(secret: Secret, how: readonly string[]): Promise<void> {
  const role = secret.metadata.labels?.['mtls-operator.io/role'] as keyof typeof purposes;
  const folder = await scratchFolder('judge');
  try {
    const at = (file: string): string => join(folder, file);
    for (const file of ['ca.crt', 'tls.crt']) await writeFile(at(file), fileOf(secret, file));
    for (const purpose of purposes[role]) {
      const trust = ['-no-CApath', '-no-CAstore', '-CAfile', at('ca.crt'), '-untrusted', at('tls.crt')];
      await openssl(['verify', ...how, '-purpose', purpose, ...trust, at('tls.crt')]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function describeCertificate(certificate: string) {
  const extensions = ['-ext', 'subjectAltName,extendedKeyUsage'];
  const args = ['-noout', '-serial', '-fingerprint', '-sha256', '-dates', '-subject', '-nameopt', 'RFC2253', '-pubkey'];
  const text = await openssl(['x509', ...args, ...extensions], certificate);
  const field = (pattern: RegExp): string => pattern.exec(text)?.[1]?.trim() ?? '';
  return {
    serialNumber: field(/^serial=(.*)$/m).toLowerCase(),
    fingerprint: hex(field(/Fingerprint=(.*)$/im)),
    notBefore: new Date(field(/^notBefore=(.*)$/m)),
    notAfter: new Date(field(/^notAfter=(.*)$/m)),
    subject: field(/^subject=(.*)$/m),
    names: field(/Subject Alternative Name:.*\n(.*)$/m)
      .split(', ')
      .sort(),
    usage: field(/Extended Key Usage:.*\n(.*)$/m),
    publicKey: /-----BEGIN PUBLIC KEY-----[^]*-----END PUBLIC KEY-----\n/.exec(text)?.[0] ?? '',
  };
}

async function describeKey(key: string) {
  const [text, publicKey] = await Promise.all([
    openssl(['pkey', '-noout', '-text_pub'], key),
    openssl(['pkey', '-pubout'], key),
  ]);
  const keyLabel = /^-----BEGIN (.*)-----/.exec(key)?.[1] ?? '';
  return { publicKey, keyLabel, keyKind: text.split('\n')[0]?.trim() ?? '' };
}

/** The certificates in a PEM text, each in PEM. */
export const certificatesIn = (pem: string): string[] =>
  pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----\n/g) ?? [];

const hex = (fingerprint: string): string => fingerprint.replaceAll(/[:\s]/g, '').toLowerCase();
