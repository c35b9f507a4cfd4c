import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

/** What a Secret of type kubernetes.io/tls holds, in PEM. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/**
 * Reads tls.crt, tls.key and ca.crt of a folder. kubelet replaces all files of a mounted Secret at once, but not between two
 * reads: files that do not belong together are an error, and the next attempt finds the new ones.
 * @throws when a file is missing, or TLS cannot use it
 */
export async function readTlsFiles(folder: string): Promise<TlsFiles> {
  const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
  const [cert, key, ca] = await Promise.all([read('tls.crt'), read('tls.key'), read('ca.crt')]);
  // Without a certificate in it, Node.js would trust the roots of the public web.
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${join(folder, 'ca.crt')} holds no certificate`);
  createSecureContext({ cert, key, ca });
  return { cert, key, ca };
}
