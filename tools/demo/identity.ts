import type { X509Certificate } from 'node:crypto';
import { readFileSync, realpathSync, watch } from 'node:fs';
import { join } from 'node:path';

/** The content of a mounted Secret as PEM, with the names of node:tls. */
export interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/**
 * Reads one version of a mounted Secret. kubelet replaces all files at once through the link `..data`. The link is resolved
 * only once, so that key and certificate have the same version. Throws while kubelet replaces the link.
 */
export function readIdentity(folder: string): Identity {
  const version = realpathSync(join(folder, '..data'));
  const read = (name: string): Buffer => readFileSync(join(version, name));
  return { cert: read('tls.crt'), key: read('tls.key'), ca: read('ca.crt') };
}

/**
 * Calls back for every new version of a mounted Secret, until the process ends. A change of `ca.crt` alone counts, too:
 * during the rotation of a root only `ca.crt` changes at first, and a program that misses it refuses its peers later.
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
      // kubelet is replacing the link. The next change of the folder follows.
    }
  });
}

/** The holder of a certificate, for a line of JSON. */
export interface Holder {
  /** The subject alternative names. */
  readonly names: readonly string[];
  /** Lower-case hex. */
  readonly serial: string;
}

/** The holder of a certificate; empty for undefined. */
export function holderOf(certificate: X509Certificate | undefined): Holder {
  const names = certificate?.subjectAltName?.split(', ').map((name) => name.replace(/^(DNS|URI):/, '')) ?? [];
  return { names, serial: certificate?.serialNumber.toLowerCase() ?? '' };
}
