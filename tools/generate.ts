/**
 * `npm run generate`: writes src/api/types.ts, src/api/schemas.json and docs/reference/api.md from crds/*.yaml, the one source of
 * the schema, and the other pages of docs/reference that have a source in src.
 * With --check it writes nothing, and exits with 1 when a file is stale.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { group } from '../src/api/constants.ts';
import { usage } from '../src/config.ts';
import { type MetricSources, Metrics } from '../src/telemetry/metrics.ts';
import { annotationsFile } from './generate/annotations.ts';
import { flagsFile } from './generate/flags.ts';
import { metricsFile } from './generate/metrics.ts';
import { conditionsFile, eventsFile } from './generate/reasons.ts';
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

const source = (file: string): string => readFileSync(join(repository, file), 'utf8');
const reasons = source('src/api/reasons.ts');

/** The metrics without values. */
function describedMetrics() {
  const metrics = new Metrics();
  metrics.mirror(new Proxy({} as MetricSources, { get: () => () => [] }));
  return metrics.describe();
}

const generated = {
  'src/api/types.ts': typesFile(kinds),
  'src/api/schemas.json': schemasFile(kinds),
  'docs/reference/api.md': referenceFile(kinds),
  'docs/reference/conditions.md': conditionsFile({
    reasons,
    roots: [source('src/pki/issuer/ca-validation.ts'), source('src/pki/issuer/issuer.ts')],
  }),
  'docs/reference/events.md': eventsFile(reasons),
  'docs/reference/annotations.md': annotationsFile(source('src/api/constants.ts'), group),
  'docs/reference/metrics.md': metricsFile(describedMetrics(), source('src/plan/certificate/issue-reason.ts')),
  'docs/reference/flags.md': flagsFile(usage),
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
