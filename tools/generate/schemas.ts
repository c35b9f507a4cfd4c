import { isAlwaysSet, type Kind, type Schema } from './schema.ts';

/**
 * The text of src/api/schemas.json: the schemas of spec and status of each kind, one a line, reduced to what is checked
 * on reading. The code decides about the bounds of spec, so that a message can name the rule.
 */
export function schemasFile(kinds: readonly Kind[]): string {
  const lines = kinds.map(({ crd, schema: { properties } }) => {
    const spec = JSON.stringify(reduced(properties?.['spec'], false));
    const status = JSON.stringify(reduced(properties?.['status'], true));
    return `  "${crd.spec.names.kind}": {\n    "spec": ${spec},\n    "status": ${status}\n  }`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}

const bounds = ['enum', 'pattern', 'format', 'minLength', 'maxLength', 'minimum', 'maxItems'] as const;

function reduced(schema: Schema | undefined, withBounds: boolean): unknown {
  if (schema === undefined) return undefined;
  const { type, properties = {}, additionalProperties, items } = schema;
  const fields = Object.entries(properties).map(([name, field]) => [name, reduced(field, withBounds)]);
  const required = Object.keys(properties).filter((name) => isAlwaysSet(name, schema));
  return {
    type,
    ...(withBounds && Object.fromEntries(bounds.map((name) => [name, schema[name]]))),
    ...(withBounds && { key: schema['x-kubernetes-list-map-keys']?.[0] }),
    ...(required.length > 0 && { required }),
    ...(fields.length > 0 && { properties: Object.fromEntries(fields) }),
    ...(additionalProperties && { additionalProperties: reduced(additionalProperties, withBounds) }),
    ...(items && { items: reduced(items, withBounds) }),
  };
}

const inputBounds = [...bounds, 'maximum', 'minItems', 'maxProperties'] as const;

/** The text of src/api/authority-spec.json: the schema that the API server checks a new spec against, without its CEL rules. */
export function manifestSchemaFile(kinds: readonly Kind[]): string {
  const authority = kinds.find(({ crd }) => crd.spec.names.kind === 'MtlsAuthority');
  return `${JSON.stringify(input(authority?.schema.properties?.['spec']))}\n`;
}

function input(schema: Schema | undefined): unknown {
  if (schema === undefined) return undefined;
  const { type, properties, additionalProperties, items, required } = schema;
  const fields = Object.entries(properties ?? {}).map(([name, field]) => [name, input(field)]);
  return {
    type,
    ...Object.fromEntries(inputBounds.map((name) => [name, schema[name]])),
    required,
    ...(properties && { properties: Object.fromEntries(fields) }),
    ...(additionalProperties && { additionalProperties: input(additionalProperties) }),
    ...(items && { items: input(items) }),
  };
}
