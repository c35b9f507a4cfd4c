import { isAlwaysSet, type Kind, type Schema } from './schema.ts';

/** The text of src/api/schemas.json: the schemas of spec and status of each kind, one a line, reduced to what is checked on reading. */
export function schemasFile(kinds: readonly Kind[]): string {
  const lines = kinds.map(({ crd, schema }) => {
    const part = (name: string) => `    "${name}": ${JSON.stringify(reduced(schema.properties?.[name]))}`;
    return `  "${crd.spec.names.kind}": {\n${part('spec')},\n${part('status')}\n  }`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}

function reduced(schema: Schema | undefined): unknown {
  if (schema === undefined) return undefined;
  const { type, properties, additionalProperties, items } = schema;
  const required = Object.keys(properties ?? {}).filter((name) => isAlwaysSet(name, schema));
  return {
    type,
    ...(required.length > 0 && { required }),
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, reduced(field)])),
    }),
    ...(additionalProperties && { additionalProperties: reduced(additionalProperties) }),
    ...(items && { items: reduced(items) }),
  };
}
