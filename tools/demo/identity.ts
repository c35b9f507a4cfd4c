import type { X509Certificate } from 'node:crypto';
import { readFileSync, realpathSync, watch } from 'node:fs';
import { join } from 'node:path';

/** What a mounted Secret holds, by the names that node:tls has for it; PEM. */
export interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/**
 * Reads one version of a mounted Secret. kubelet swaps all files at once by the link `..data`: it is followed once and
 * not for each file, or a key could meet the certificate of another version. Throws while a swap is under way.
 */
export function readIdentity(folder: string): Identity {
  const version = realpathSync(join(folder, '..data'));
  const read = (name: string): Buffer => readFileSync(join(version, name));
  return { cert: read('tls.crt'), key: read('tls.key'), ca: read('ca.crt') };
}

/**
 * Calls back with every further version of a mounted Secret, and goes on for as long as the process does. In any of its
 * files: while a root is rotated `ca.crt` changes alone, and whoever misses it refuses others later.
 */
export function followIdentity(folder: string, onChange: (identity: Identity) => void): void {
  let current = readIdentity(folder);
  watch(folder, () => {
    try {
      const next = readIdentity(folder);
      if (next.cert.equals(current.cert) && next.ca.equals(current.ca)) return;
      current = next;
      onChange(next);
    } catch {
      // In the middle of a swap. Its end is one more change of the folder.
    }
  });
}

/** What a certificate says about its holder, in words that go into a line of JSON. */
export interface Holder {
  /** The subject alternative names. */
  readonly names: readonly string[];
  /** Lower-case hex. */
  readonly serial: string;
}

/** The holder of a certificate; of none, nobody. */
export function holderOf(certificate: X509Certificate | undefined): Holder {
  const names = certificate?.subjectAltName?.split(', ').map((name) => name.replace(/^(DNS|URI):/, '')) ?? [];
  return { names, serial: certificate?.serialNumber.toLowerCase() ?? '' };
}
