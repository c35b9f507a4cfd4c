import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** The content of a mounted Secret in PEM, by the names of the options of node:tls. */
export interface MountedSecret {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  /** Present if CRLs are checked. */
  readonly crl?: Buffer;
}

let crlFolder: string | undefined;

/** Makes `readSecret` and `readCrls` also read the current CRLs of this folder. */
export function checkCrlsIn(folder: string): void {
  crlFolder = folder;
}

/** Reads one version of a mounted Secret. */
export const readSecret = (folder: string): MountedSecret =>
  readMounted(folder, (file) => ({
    cert: file('tls.crt'),
    key: file('tls.key'),
    ca: file('ca.crt'),
    ...readCrls(),
  }));

/** Reads only the roots, from a mounted Secret or from a ConfigMap, which has nothing else. */
export const readRoots = (folder: string): Buffer => readMounted(folder, (file) => file('ca.crt'));

/** Reads the CRLs, if they are checked. */
export const readCrls = (): { crl?: Buffer } =>
  crlFolder === undefined ? {} : { crl: readMounted(crlFolder, (file) => file('ca.crl')) };

/**
 * Reads one version of a mounted folder. kubelet swaps all files atomically through the link `..data` and then removes the
 * old version. So follow the link once, not for each file, and retry if the version was removed meanwhile.
 */
function readMounted<T>(folder: string, read: (file: (name: string) => Buffer) => T): T {
  for (;;) {
    const version = readlinkSync(join(folder, '..data'));
    try {
      return read((name) => readFileSync(join(folder, version, name)));
    } catch (error) {
      if (readlinkSync(join(folder, '..data')) === version) throw error;
    }
  }
}
