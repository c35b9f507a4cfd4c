import schemasOfKinds from './schemas.json' with { type: 'json' };

/** The part of a CRD's OpenAPI schema that stored resources are checked by. Generated from crds/ into schemas.json. */
export interface Schema {
  readonly type: string;
  /** The fields that a reader always finds: those that are required or have a default. */
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
}

/** The schemas of each kind. */
export const schemas: Readonly<Record<keyof typeof schemasOfKinds, Readonly<Record<'spec' | 'status', Schema>>>> =
  schemasOfKinds;

/** The path of the first part of a value that does not fit the schema, or undefined. Never throws. */
export function misfit(schema: Schema, value: unknown, path: string): string | undefined {
  const below = misfitBelow(schema, value);
  return below === undefined ? undefined : path + below;
}

/** The fields of a status or spec that fit the schema: the value itself when all of them do. */
export function fittingFields({ properties = {} }: Schema, value: unknown): Readonly<Record<string, unknown>> {
  if (!hasType('object', value)) return {};
  const fields = Object.entries(value as object);
  const fitting = fields.filter(([name, field]) => {
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    return schema !== undefined && misfitBelow(schema, field) === undefined;
  });
  return fitting.length === fields.length ? (value as Readonly<Record<string, unknown>>) : Object.fromEntries(fitting);
}

/** The path below the value: '' is the value itself. The callers put a path together only when there is one. */
function misfitBelow(schema: Schema, value: unknown): string | undefined {
  if (!hasType(schema.type, value)) return '';
  if (schema.items !== undefined) return misfitInItems(schema.items, value as readonly unknown[]);
  return schema.type === 'object' ? misfitInFields(schema, value as Readonly<Record<string, unknown>>) : undefined;
}

function misfitInItems(schema: Schema, items: readonly unknown[]): string | undefined {
  for (let i = 0; i < items.length; i += 1) {
    const below = misfitBelow(schema, items[i]);
    if (below !== undefined) return `[${i}]${below}`;
  }
  return undefined;
}

function misfitInFields(schema: Schema, fields: Readonly<Record<string, unknown>>): string | undefined {
  const { required = [], properties = {}, additionalProperties } = schema;
  for (const name of required) if (!Object.hasOwn(fields, name) || fields[name] === undefined) return `.${name}`;
  for (const name of Object.keys(fields)) {
    const field = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    const below = field === undefined || fields[name] === undefined ? undefined : misfitBelow(field, fields[name]);
    if (below !== undefined) return `.${name}${below}`;
  }
  return undefined;
}

function hasType(type: string, value: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  return typeof value === type && (type !== 'object' || (value !== null && !Array.isArray(value)));
}
