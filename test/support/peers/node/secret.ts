import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What a mounted Secret holds, by the names that node:tls has for it; PEM. */
export interface MountedSecret {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  /** There when CRLs are checked. */
  readonly crl?: Buffer;
}

let crlFolder: string | undefined;

/** Has all secrets come with the CRLs that this folder holds at the time. */
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

/** Reads the roots alone: of a mounted Secret, or of a ConfigMap, which has nothing else. */
export const readRoots = (folder: string): Buffer => readMounted(folder, (file) => file('ca.crt'));

/** Reads the CRLs, where they are checked. */
export const readCrls = (): { crl?: Buffer } =>
  crlFolder === undefined ? {} : { crl: readMounted(crlFolder, (file) => file('ca.crl')) };

/**
 * Reads one version of a mounted folder. kubelet swaps all files at once by the link `..data`, then removes those before:
 * the link is followed once, not for each file, and again when the files have gone meanwhile.
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
