import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** The newest version, from the Go module proxy or the module cache. */
export const certManagerModule = 'github.com/cert-manager/cert-manager@v1.21.2';

export interface OpenApi {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, OpenApi>>;
  readonly additionalProperties?: OpenApi;
  readonly items?: OpenApi;
}

/** A folder with the CRDs of cert-manager. */
export function certManagerCrds(): string {
  const output = execFileSync('go', ['mod', 'download', '-json', certManagerModule], { encoding: 'utf8' });
  return join((JSON.parse(output) as { Dir: string }).Dir, 'deploy/crds');
}

/** The schema of spec in a CRD of cert-manager. */
export function specSchema(folder: string, plural: 'certificates' | 'clusterissuers' | 'issuers'): OpenApi {
  const crd = parse(readFileSync(join(folder, `cert-manager.io_${plural}.yaml`), 'utf8')) as {
    spec: { versions: Array<{ schema: { openAPIV3Schema: OpenApi } }> };
  };
  const schema = crd.spec.versions[0]?.schema.openAPIV3Schema.properties?.['spec'];
  if (schema === undefined) throw new Error(`the CRD of ${plural} has no spec`);
  return schema;
}
