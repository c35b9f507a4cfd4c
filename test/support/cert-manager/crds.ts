import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

import { goModule } from '../../../tools/go-tools/go-modules.ts';

export interface OpenApi {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, OpenApi>>;
  readonly additionalProperties?: OpenApi;
  readonly items?: OpenApi;
}

/** The folder of the CRDs of the cert-manager that tests start. */
export async function certManagerCrds(): Promise<string> {
  return join(await goModule('cert-manager'), 'deploy/crds');
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
