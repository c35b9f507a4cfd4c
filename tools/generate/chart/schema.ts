import type { Schema } from '../schema.ts';
import type { ChartValue } from './values.ts';

/** A JSON schema, as far as values.schema.json uses it. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly items?: JsonSchema;
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
}

/**
 * The text of values.schema.json: the present one, with the descriptions of values.yaml and the `spec` of an MtlsAuthority.
 * @throws if a value is missing in one of both files, or a field has no description
 */
export function chartSchemaFile(
  present: JsonSchema,
  values: readonly ChartValue[],
  authoritySpec: Schema | undefined,
): string {
  const descriptions = new Map(values.map(({ path, description }) => [path, description]));
  const described = describe(present, '', descriptions);
  if (descriptions.size > 0) throw new Error(`values.schema.json lacks ${[...descriptions.keys()].join(', ')}`);
  const definitions = { ...described.definitions, ...(authoritySpec && { authoritySpec: closed(authoritySpec) }) };
  const schema: JsonSchema = { ...described, definitions };
  requireDescriptions(schema, 'values');
  for (const [name, definition] of Object.entries(definitions)) requireDescriptions(definition, name);
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

/** Removes from `descriptions` what it has used. */
function describe(schema: JsonSchema, path: string, descriptions: Map<string, string>): JsonSchema {
  if (schema.properties === undefined) return schema;
  const properties = Object.entries(schema.properties).map(([name, property]) => {
    const child = path === '' ? name : `${path}.${name}`;
    const description = descriptions.get(child) ?? property.description;
    descriptions.delete(child);
    return [
      name,
      {
        ...(description && { description }),
        ...describe(property, child, descriptions),
        ...(description && { description }),
      },
    ];
  });
  return { ...schema, properties: Object.fromEntries(properties) as Record<string, JsonSchema> };
}

/** An OpenAPI schema as a JSON schema that refuses unknown fields. CEL rules stay with the API server. */
function closed(schema: Schema): JsonSchema {
  const { description, type, properties, additionalProperties, items, required } = schema;
  const constraints = Object.fromEntries(
    (['enum', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'maxItems', 'maxProperties'] as const)
      .filter((name) => schema[name] !== undefined)
      .map((name) => [name, schema[name]]),
  );
  return {
    ...(description && { description }),
    type,
    ...constraints,
    ...(required && { required }),
    ...(properties && {
      additionalProperties: false,
      properties: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, closed(field)])),
    }),
    ...(additionalProperties && { additionalProperties: closed(additionalProperties) }),
    ...(items && { items: closed(items) }),
  };
}

function requireDescriptions(schema: JsonSchema, path: string): void {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.description === undefined && property.properties === undefined)
      throw new Error(`values.schema.json: ${path}.${name} has no description`);
    requireDescriptions(property, `${path}.${name}`);
  }
  if (schema.items !== undefined) requireDescriptions(schema.items, `${path}[]`);
}
