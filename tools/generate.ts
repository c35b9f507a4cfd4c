/**
 * `npm run generate`: writes src/api/types.ts, src/api/*.json and docs/reference/api.md from crds/*.yaml, the one source of the
 * schema, the other pages of docs/reference that have a source in src, the parts of the Helm chart that have a source elsewhere,
 * and the manifests of deploy from the chart.
 * With --check it writes nothing, and exits with 1 when a file is stale.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, parseDocument } from 'yaml';
import { group } from '../src/api/constants.ts';
import { usage } from '../src/config/config.ts';
import { type MetricSources, Metrics } from '../src/telemetry/metrics.ts';
import { annotationsFile } from './generate/annotations.ts';
import { certManagerFile } from './generate/cert-manager.ts';
import { manifestFiles } from './generate/chart/manifests.ts';
import { chartReadmeFile } from './generate/chart/readme.ts';
import { chartSchemaFile, type JsonSchema } from './generate/chart/schema.ts';
import { chartValues } from './generate/chart/values.ts';
import { dashboardFile } from './generate/dashboard/dashboard.ts';
import { flagsFile } from './generate/flags.ts';
import { metricsFile } from './generate/metrics.ts';
import { permissionsFile } from './generate/permissions.ts';
import { conditionsFile, eventsFile } from './generate/reasons.ts';
import { referenceFile } from './generate/reference.ts';
import { type Crd, readKind } from './generate/schema.ts';
import { manifestSchemaFile, schemasFile } from './generate/schemas.ts';
import { typesFile } from './generate/types.ts';
import { permissionTable } from './permissions/table.ts';

const repository = join(import.meta.dirname, '..');
const crds = join(repository, 'crds');
const check = process.argv.includes('--check');

const crdFiles = readdirSync(crds)
  .filter((file) => file.endsWith('.yaml'))
  .sort();
const kinds = crdFiles.map((file) => readKind(parse(readFileSync(join(crds, file), 'utf8')) as Crd));

const source = (file: string): string => readFileSync(join(repository, file), 'utf8');
const reasons = source('src/api/reasons.ts');

/** The metrics without values. */
function describedMetrics() {
  const metrics = new Metrics({ version: '', perCertificate: true });
  metrics.mirror(new Proxy({} as MetricSources, { get: () => () => [] }));
  return metrics.describe();
}

const chart = 'deploy/helm/mtls-operator';
const values = chartValues(parseDocument(source(`${chart}/values.yaml`)));
const { version } = JSON.parse(source('package.json')) as { version: string };

const generated = {
  'src/api/types.ts': typesFile(kinds),
  'src/api/schemas.json': schemasFile(kinds),
  'src/api/authority-spec.json': manifestSchemaFile(kinds),
  'docs/reference/api.md': referenceFile(kinds),
  'docs/reference/conditions.md': conditionsFile({
    reasons,
    roots: [source('src/pki/issuer/ca-validation.ts'), source('src/pki/issuer/issuer.ts')],
  }),
  'docs/reference/events.md': eventsFile(reasons),
  'docs/reference/annotations.md': annotationsFile(source('src/api/constants.ts'), group),
  'docs/reference/metrics.md': metricsFile(describedMetrics(), source('src/plan/certificate/issue-reason.ts')),
  'docs/reference/cert-manager.md': certManagerFile(),
  'docs/reference/flags.md': flagsFile(usage),
  'docs/reference/permissions.md': permissionsFile(permissionTable()),
  ...Object.fromEntries(crdFiles.map((file) => [`${chart}/files/crds/${file}`, source(`crds/${file}`)])),
  [`${chart}/Chart.yaml`]: source(`${chart}/Chart.yaml`).replaceAll(/^((?:appV|v)ersion): .*$/gm, `$1: ${version}`),
  [`${chart}/files/dashboard.json`]: dashboardFile(),
  [`${chart}/README.md`]: chartReadmeFile(source(`${chart}/README.md`), values),
  [`${chart}/values.schema.json`]: chartSchemaFile(
    JSON.parse(source(`${chart}/values.schema.json`)) as JsonSchema,
    values,
    kinds.find(({ crd }) => crd.spec.names.kind === 'MtlsAuthority')?.schema.properties?.['spec'],
  ),
};
write(generated);
// Helm reads the files of the chart.
const manifests = Object.entries(await manifestFiles(join(repository, chart)));
write(Object.fromEntries(manifests.map(([file, text]) => [`deploy/${file}`, text])));

/** Writes the files that are stale or, with --check, reports them. */
function write(files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) {
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
}
