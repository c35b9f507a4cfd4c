import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

/** The content of a Secret of type kubernetes.io/tls, as PEM. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/**
 * Reads tls.crt, tls.key and ca.crt from a folder. kubelet replaces all files of a mounted Secret at once, which may happen
 * between two of these reads: a key that does not match the certificate is then an error, and the next attempt succeeds.
 * @throws when a file is missing or TLS cannot use it
 */
export async function readTlsFiles(folder: string): Promise<TlsFiles> {
  const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
  const [cert, key, ca] = await Promise.all([read('tls.crt'), read('tls.key'), read('ca.crt')]);
  // If ca.crt held no certificate, Node.js would trust the root certificates that it ships with.
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${join(folder, 'ca.crt')} holds no certificate`);
  createSecureContext({ cert, key, ca });
  return { cert, key, ca };
}
