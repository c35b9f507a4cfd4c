import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

/** The content of a Secret of type kubernetes.io/tls, as PEM. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

/**
 * Reads tls.crt and tls.key from a folder, and ca.crt if it is needed. kubelet replaces all files of a mounted Secret at once, which may happen
 * between two of these reads: a key that does not match the certificate is then an error, and the next attempt succeeds.
 * @throws when a file is missing or TLS cannot use it
 */
export async function readTlsFiles(folder: string, needed: { readonly ca: boolean }): Promise<TlsFiles> {
  const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
  const [cert, key, ca] = await Promise.all([read('tls.crt'), read('tls.key'), needed.ca ? read('ca.crt') : undefined]);
  // If ca.crt held no certificate, Node.js would trust the root certificates that it ships with.
  if (ca?.includes('-----BEGIN CERTIFICATE-----') === false)
    throw new Error(`${join(folder, 'ca.crt')} holds no certificate`);
  createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  return { cert, key, ca };
}
