import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorMessage } from 'node:util';
import { ConfigError } from './command-line.ts';
import type { Config } from './config.ts';

/**
 * Checks the folders that flags name. Files in the folder for the metrics server may still be missing, because the operator may
 * have to issue the certificate.
 * @throws ConfigError
 */
export function checkFolders({ serviceAccountDirectory, metrics }: Config): void {
  if (serviceAccountDirectory !== undefined) {
    for (const file of ['token', 'ca.crt'])
      attempt('--service-account-directory', () => accessSync(join(serviceAccountDirectory, file), constants.R_OK));
  }
  if (metrics !== undefined) attempt('--metrics-tls-directory', () => requireFolder(metrics.tlsDirectory));
}

function requireFolder(path: string): void {
  if (!statSync(path).isDirectory()) throw new ConfigError(`--metrics-tls-directory: ${path} is not a folder`);
}

function attempt(flag: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { path = '', errno = 0 } = error as NodeJS.ErrnoException;
    throw new ConfigError(`${flag}: ${path} cannot be read: ${getSystemErrorMessage(errno)}`, { cause: error });
  }
}
