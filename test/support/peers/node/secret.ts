import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What a mounted Secret holds, by the names that node:tls has for it; PEM. */
export interface MountedSecret {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/**
 * Reads one version of a mounted Secret. kubelet swaps all files at once by the link `..data`, then removes those before:
 * the link is followed once, not for each file, and again when the files have gone meanwhile.
 */
export function readSecret(folder: string): MountedSecret {
  for (;;) {
    const version = readlinkSync(join(folder, '..data'));
    const read = (name: string): Buffer => readFileSync(join(folder, version, name));
    try {
      return { cert: read('tls.crt'), key: read('tls.key'), ca: read('ca.crt') };
    } catch (error) {
      if (readlinkSync(join(folder, '..data')) === version) throw error;
    }
  }
}
