import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder for builds, which can be made again (XDG Base Directory Specification). */
export function cacheFolder(): string {
  return join(base('XDG_CACHE_HOME', '.cache'), 'mtls-operator');
}

/** The folder for clusters, which are kept until the user removes them (XDG Base Directory Specification). */
export function stateFolder(): string {
  return join(base('XDG_STATE_HOME', '.local/state'), 'mtls-operator');
}

function base(variable: string, fallback: string): string {
  const value = process.env[variable];
  // The specification says to ignore a relative path.
  return value?.startsWith('/') ? value : join(homedir(), fallback);
}
