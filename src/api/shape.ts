/** The types of a value in a schema, without their bounds: for a resource that may be older than its schema. */
export type Shape =
  | 'string'
  | 'integer'
  | 'boolean'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly fields: Readonly<Record<string, Shape>>; readonly always: readonly string[] };

/** The path of the first part of a value that is not what the shape says; undefined when all of it is. Never throws. */
export function misfit(shape: Shape, value: unknown, path: string): string | undefined {
  if (typeof shape === 'string') {
    const fits = shape === 'integer' ? Number.isInteger(value) : typeof value === shape;
    return fits ? undefined : path;
  }
  if ('list' in shape) {
    return Array.isArray(value) ? first(value, (item, index) => misfit(shape.list, item, `${path}[${index}]`)) : path;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return path;
  if ('map' in shape) return first(Object.entries(value), ([key, item]) => misfit(shape.map, item, `${path}.${key}`));
  return first(Object.entries(shape.fields), ([name, field]) => {
    const item = fieldOf(value, name);
    const isMissing = item === undefined && !shape.always.includes(name);
    return isMissing ? undefined : misfit(field, item, `${path}.${name}`);
  });
}

/** A value's own field: a name may be called like something that every object has. */
const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;

function first<T>(items: readonly T[], find: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The fields of a value that are what the shape says. */
export function fittingFields(
  shape: Extract<Shape, { readonly fields: unknown }>,
  value: unknown,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return {};
  const fields = Object.entries(shape.fields).filter(([name, field]) => !misfit(field, fieldOf(value, name), name));
  return Object.fromEntries(fields.map(([name]) => [name, fieldOf(value, name)]));
}
