import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The environment variables that the Dockerfile sets for the operator. */
export function imageEnvironment(): Record<string, string> {
  const dockerfile = readFileSync(fileURLToPath(new URL('../../Dockerfile', import.meta.url)), 'utf8');
  const last = [...dockerfile.matchAll(/^ENV ((?:.*\\\n)*.*)$/gm)].at(-1)?.[1] ?? '';
  const settings = last.split(/[\s\\]+/).map((setting) => setting.split('=') as [string, string]);
  return Object.fromEntries(settings);
}
