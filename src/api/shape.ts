/** The types of a value in a schema, without their bounds: for a resource that may be older than its schema. */
export type Shape =
  | 'string'
  | 'integer'
  | 'boolean'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly fields: Readonly<Record<string, Shape>>; readonly always: readonly string[] };

type Fields = Extract<Shape, { readonly fields: unknown }>;

/** The path of the first part of a value that is not what the shape says; undefined when all of it is. Never throws. */
export function misfit(shape: Shape, value: unknown, path: string): string | undefined {
  const below = misfitBelow(shape, value);
  return below === undefined ? undefined : path + below;
}

/** The same below the value. The path is only put together when there is one: nearly always there is none. */
function misfitBelow(shape: Shape, value: unknown): string | undefined {
  if (typeof shape === 'string') {
    const fits = shape === 'integer' ? Number.isInteger(value) : typeof value === shape;
    return fits ? undefined : '';
  }
  if ('list' in shape) return Array.isArray(value) ? misfitInList(shape.list, value) : '';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return '';
  if ('map' in shape) return misfitInFields(Object.keys(value), () => shape.map, value);
  return misfitInFields(Object.keys(shape.fields), (name) => fieldShape(shape, name, value), value);
}

function misfitInList(shape: Shape, list: readonly unknown[]): string | undefined {
  for (let i = 0; i < list.length; i += 1) {
    const below = misfitBelow(shape, list[i]);
    if (below !== undefined) return `[${i}]${below}`;
  }
  return undefined;
}

function misfitInFields(
  names: readonly string[],
  shapeOf: (name: string) => Shape | undefined,
  value: object,
): string | undefined {
  for (const name of names) {
    const shape = shapeOf(name);
    const below = shape === undefined ? undefined : misfitBelow(shape, fieldOf(value, name));
    if (below !== undefined) return `.${name}${below}`;
  }
  return undefined;
}

/** The shape of a field; undefined for one that is missing and may be. */
const fieldShape = ({ fields, always }: Fields, name: string, value: object): Shape | undefined =>
  fieldOf(value, name) === undefined && !always.includes(name) ? undefined : fields[name];

/** A value's own field: a name may be called like something that every object has. */
const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;

/** The fields of a value that are what the shape says: the value itself when all of them are. */
export function fittingFields(shape: Fields, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  const names = Object.keys(value);
  const isFitting = (name: string): boolean => {
    const field = Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
    return field !== undefined && misfitBelow(field, fieldOf(value, name)) === undefined;
  };
  if (names.every(isFitting)) return value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(names.filter(isFitting).map((name) => [name, fieldOf(value, name)]));
}
