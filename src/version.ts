import { readFileSync } from 'node:fs';

interface Manifest {
  readonly version: string;
}

/** The version of the operator: that of package.json, which is in the image next to `dist`. */
export const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as Manifest)
  .version;
