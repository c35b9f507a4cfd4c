import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output } from '../../controlplane/command.ts';
import { goTool } from '../../go-tools/go-tools.ts';

/** The files of `deploy` that are rendered, with the templates that each is made of. */
const MANIFESTS = {
  'service-account.yaml': ['service-account.yaml'],
  'rbac.yaml': ['rbac.yaml'],
  'rbac-users.yaml': ['rbac-users.yaml'],
  'admission-policy.yaml': [
    'admission-policy/secrets.yaml',
    'admission-policy/configmaps.yaml',
    'admission-policy/names.yaml',
  ],
  'deployment.yaml': ['deployment.yaml'],
  'service.yaml': ['service.yaml'],
  'network-policy.yaml': ['network-policy.yaml'],
  'pod-disruption-budget.yaml': ['pod-disruption-budget.yaml'],
} as const;

const header = '# Rendered from deploy/helm/mtls-operator by `npm run generate`. Do not edit.\n';

/** Lines that only Helm needs. */
const noise = /^(?:# Source: .*|\s+(?:helm\.sh\/chart|app\.kubernetes\.io\/(?:instance|version|managed-by)): .*)\n/gm;

/**
 * The manifests of `deploy`, by the name of the file: the release mtls-operator in the namespace mtls-operator, without values.
 * @throws if Helm fails
 */
export async function manifestFiles(chart: string): Promise<Readonly<Record<string, string>>> {
  const folder = mkdtempSync(join(tmpdir(), 'mtls-operator-chart-'));
  try {
    const args = ['template', 'mtls-operator', chart, '--namespace=mtls-operator', `--output-dir=${folder}`];
    const { code, stderr } = await output(await goTool('helm'), args);
    if (code !== 0) throw new Error(`helm template failed: ${stderr}`);
    const rendered = (template: string): string =>
      readFileSync(join(folder, 'mtls-operator', 'templates', template), 'utf8').replaceAll(noise, '');
    return Object.fromEntries(
      Object.entries(MANIFESTS).map(([file, templates]) => {
        const documents = templates.flatMap((template) => rendered(template).split(/^---$/m));
        const texts = documents.map((text) => text.trim()).filter((text) => text !== '');
        const text = texts.join('\n---\n');
        return [file, `${header}${text.startsWith('#') ? '#\n' : ''}${text}\n`];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
