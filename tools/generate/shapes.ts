import { isAlwaysSet, type Kind, type Schema } from './schema.ts';

const HEADER = `// Generated from crds/ by \`npm run generate\`. Do not edit.
import type { Shape } from './shape.ts';

`;

/** The text of src/api/shapes.ts: the types that spec and status of every kind have in the schema, to be checked by. */
export function shapesFile(kinds: readonly Kind[]): string {
  const shapes = kinds.map(({ crd, schema }) => [
    crd.spec.names.kind,
    { spec: shapeOf(schema.properties?.['spec']), status: shapeOf(schema.properties?.['status']) },
  ]);
  const text = JSON.stringify(Object.fromEntries(shapes), null, 2);
  return `${HEADER}/** What is to be found under spec and status of each kind. */
export const shapes = ${text} as const satisfies Record<string, Record<'spec' | 'status', Shape>>;
`;
}

function shapeOf(schema: Schema | undefined): unknown {
  if (schema === undefined) throw new Error('spec and status are expected');
  if (schema.properties !== undefined) {
    const names = Object.keys(schema.properties);
    return {
      fields: Object.fromEntries(names.map((name) => [name, shapeOf(schema.properties?.[name])])),
      always: names.filter((name) => isAlwaysSet(name, schema)),
    };
  }
  if (schema.items !== undefined) return { list: shapeOf(schema.items) };
  return schema.additionalProperties === undefined ? schema.type : { map: shapeOf(schema.additionalProperties) };
}
