import { readFileSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import { type AuthorityManifest, manifestsProblem } from '../api/manifest.ts';

/**
 * Reads a JSON list of MtlsAuthority manifests.
 * @throws Error with a sentence that names the file, and the path of a wrong field in it
 */
export function readAuthoritiesFile(file: string): readonly AuthorityManifest[] {
  const list = parse(file, read(file));
  const problem = manifestsProblem(list);
  if (problem !== undefined) throw new Error(`${file}: ${problem}`);
  return list as readonly AuthorityManifest[];
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { errno, message } = error as NodeJS.ErrnoException;
    throw new Error(`${file} cannot be read: ${errno === undefined ? message : getSystemErrorMessage(errno)}`, {
      cause: error,
    });
  }
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
