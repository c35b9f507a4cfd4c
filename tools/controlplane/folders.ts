import { homedir } from 'node:os';
import { join } from 'node:path';

/** What can be made again: builds. XDG Base Directory Specification. */
export function cacheFolder(): string {
  return join(base('XDG_CACHE_HOME', '.cache'), 'mtls-operator');
}

/** What is kept until someone removes it: clusters. XDG Base Directory Specification. */
export function stateFolder(): string {
  return join(base('XDG_STATE_HOME', '.local/state'), 'mtls-operator');
}

function base(variable: string, fallback: string): string {
  const value = process.env[variable];
  // The specification has a relative path ignored.
  return value?.startsWith('/') ? value : join(homedir(), fallback);
}
