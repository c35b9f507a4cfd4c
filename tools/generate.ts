/**
 * `npm run generate`: writes src/api/types.ts, src/api/schemas.json and docs/api.md from crds/*.yaml, the one source of the schema.
 * With --check it writes nothing, and exits with 1 when one of them is stale.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { referenceFile } from './generate/reference.ts';
import { type Crd, readKind } from './generate/schema.ts';
import { schemasFile } from './generate/schemas.ts';
import { typesFile } from './generate/types.ts';

const repository = join(import.meta.dirname, '..');
const crds = join(repository, 'crds');
const check = process.argv.includes('--check');

const kinds = readdirSync(crds)
  .filter((file) => file.endsWith('.yaml'))
  .sort()
  .map((file) => readKind(parse(readFileSync(join(crds, file), 'utf8')) as Crd));

const generated = {
  'src/api/types.ts': typesFile(kinds),
  'src/api/schemas.json': schemasFile(kinds),
  'docs/api.md': referenceFile(kinds),
};

for (const [file, text] of Object.entries(generated)) {
  const path = join(repository, file);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
  if (check) {
    console.error(`${file} is stale: run \`npm run generate\``);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.log(`wrote ${file}`);
  }
}
