import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type CommandResult, output } from '../../../tools/controlplane/command.ts';
import { goTool } from '../../../tools/go-tools/go-tools.ts';
import type { Api } from '../api.ts';
import { eventually } from '../eventually.ts';
import { scratchFolder } from '../scratch.ts';

/** The part of a JSON schema that this file reads. */
type Schema = Readonly<Record<string, unknown>>;

interface Discovery {
  /** By the path below /openapi/v3. */
  readonly paths: Readonly<Record<string, unknown>>;
}

interface OpenApi {
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

/** Where kubeconform looks for the schema of an object. The group of the core API is its version, `v1`. */
const LOCATION = '{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json';

/** Checks manifests against schemas. */
export type Kubeconform = (manifests: string) => Promise<CommandResult>;

/**
 * kubeconform with the schemas that this API server publishes in /openapi/v3, its CRDs included. A field that is in no schema is
 * an error. The API server publishes the schemas of a CRD some time after the CRD: waits for those of `customKinds`, for
 * example `monitoring.coreos.com/v1/ServiceMonitor`.
 */
export async function openKubeconform(api: Api, customKinds: readonly string[]): Promise<Kubeconform> {
  const folder = await scratchFolder('schemas');
  await eventually(async () => {
    const { paths } = await api.get<Discovery>('/openapi/v3');
    const groups = Object.keys(paths).filter((path) => /^apis?\/.*v\d/.test(path));
    const written = await Promise.all(groups.map((group) => writeSchemas(folder, api, group)));
    const missing = new Set(customKinds).difference(new Set(written.flat()));
    assert.deepEqual([...missing], []);
  });
  const program = await goTool('kubeconform');
  const args = ['-strict', '-summary', '-output=text', `-schema-location=${join(folder, LOCATION)}`];
  return (manifests) => output(program, args, { input: manifests });
}

/** Writes one file for each kind of a group and version. Returns the kinds. */
async function writeSchemas(folder: string, api: Api, path: string): Promise<readonly string[]> {
  const { components } = await api.get<OpenApi>(`/openapi/v3/${path}`);
  const schemas = Object.fromEntries(
    Object.entries(components?.schemas ?? {}).map(([name, schema]) => [name, closed(schema) as Schema]),
  );
  const written: string[] = [];
  for (const [name, schema] of Object.entries(schemas)) {
    for (const { group, version, kind } of kindsOf(schema)) {
      // The schemas of a group also have kinds of others, such as DeleteOptions.
      const own = group === '' ? `api/${version}` : `apis/${group}/${version}`;
      if (path !== own || !Object.hasOwn(schema, 'properties')) continue;
      const target = join(folder, group === '' ? version : group);
      await mkdir(target, { recursive: true });
      const document = { $ref: `#/components/schemas/${name}`, components: { schemas } };
      await writeFile(join(target, `${kind.toLowerCase()}_${version}.json`), JSON.stringify(document));
      written.push(`${group}/${version}/${kind}`);
    }
  }
  return written;
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const kindsOf = (schema: Schema): readonly Kind[] =>
  (schema['x-kubernetes-group-version-kind'] as readonly Kind[] | undefined) ?? [];

/** A schema that allows only its own properties, at every depth, as the API server does in strict validation. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { properties, default: _default, ...rest } = schema as Record<string, unknown>;
  const others = Object.fromEntries(
    Object.entries(rest).map(([keyword, value]) => [keyword, isLiteral(keyword) ? value : closed(value)]),
  );
  if (properties === undefined) return others;
  const closedProperties = Object.fromEntries(
    Object.entries(properties as Record<string, unknown>).map(([name, property]) => [name, closed(property)]),
  );
  const isOpen = rest['x-kubernetes-preserve-unknown-fields'] === true || rest['additionalProperties'] !== undefined;
  return { ...others, properties: closedProperties, ...(isOpen ? {} : { additionalProperties: false }) };
}

/** Keywords whose value is no schema. */
const isLiteral = (keyword: string): boolean => ['enum', 'required', 'example'].includes(keyword);
