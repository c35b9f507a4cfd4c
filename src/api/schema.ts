import schemasOfKinds from './schemas.json' with { type: 'json' };

/**
 * The part of a CRD's OpenAPI schema that the operator checks stored resources against. schemas.json is generated from crds/. For
 * spec it has only the types; for status it also has the bounds.
 */
export interface Schema {
  readonly type: string;
  /** The fields that are always set, because they are required or have a default. */
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly maxItems?: number;
  /** The field that identifies an item of a list. */
  readonly key?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** The schemas of spec and status of each kind. */
export const schemas: Readonly<Record<keyof typeof schemasOfKinds, Readonly<Record<'spec' | 'status', Schema>>>> =
  schemasOfKinds;

/** The path of the first field in `value` that does not match the schema, or undefined if all match. Never throws. */
export function misfit(schema: Schema, value: unknown, path: string): string | undefined {
  const below = checkOf(schema)(value);
  return below === undefined ? undefined : path + below;
}

/** The top-level fields of a spec that match the schema. */
export function fittingFields({ properties = {} }: Schema, value: unknown): Fields {
  if (!isObject(value)) return {};
  const isFitting = ([name, field]: [string, unknown]): boolean => {
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    return schema !== undefined && checkOf(schema)(field) === undefined;
  };
  return Object.fromEntries(Object.entries(value).filter(isFitting));
}

/**
 * Returns the value if it matches the schema, and otherwise a copy without the list entries and fields that do not match, or
 * undefined if nothing is left. If two list entries have the same key, the first one stays. If a list has too many entries, the
 * last ones stay.
 */
export function fittingPart(schema: Schema, value: unknown): unknown {
  if (checkOf(schema)(value) === undefined) return value;
  const { items, properties, required = [], maxItems, key } = schema;
  if (items !== undefined && Array.isArray(value)) {
    const fitting = value.map((item) => fittingPart(items, item)).filter((item) => item !== undefined);
    const byKey = Map.groupBy(fitting, (item) => (key === undefined ? {} : (item as Fields)[key]));
    const distinct = [...byKey.values()].map(([first]) => first);
    return distinct.length === 0 ? undefined : distinct.slice(-(maxItems ?? distinct.length));
  }
  if (properties === undefined || !isObject(value)) return undefined;
  const entries = Object.entries(properties).flatMap(([name, field]) => {
    const part = Object.hasOwn(value, name) ? fittingPart(field, value[name]) : undefined;
    return part === undefined ? [] : [[name, part] as const];
  });
  const fields: Fields = Object.fromEntries(entries);
  return required.every((name) => Object.hasOwn(fields, name)) ? fields : undefined;
}

/** Returns the path of the first mismatch below a value, or undefined. '' is the value itself. Callers build a path only on a mismatch. */
type Check = (value: unknown) => string | undefined;

const checks = new WeakMap<Schema, Check>();

/** The check of a schema. It is built once, because the operator checks every resource again and again. */
function checkOf(schema: Schema): Check {
  const known = checks.get(schema);
  if (known !== undefined) return known;
  const check = makeCheck(schema);
  checks.set(schema, check);
  return check;
}

function makeCheck(schema: Schema): Check {
  switch (schema.type) {
    case 'object':
      return fieldsCheck(schema);
    case 'array':
      return listCheck(schema);
    case 'string':
      return textCheck(schema);
    case 'integer':
      return integerCheck(schema);
    default:
      return (value) => (typeof value === schema.type ? undefined : '');
  }
}

function listCheck({ items, maxItems = Infinity, key }: Schema): Check {
  const check = items === undefined ? () => undefined : checkOf(items);
  return (list) => {
    if (!Array.isArray(list) || list.length > maxItems) return '';
    for (let i = 0; i < list.length; i += 1) {
      const below = check(list[i]);
      if (below !== undefined) return `[${i}]${below}`;
    }
    if (key === undefined || list.length < 2) return undefined;
    return new Set((list as readonly Fields[]).map((item) => item[key])).size === list.length ? undefined : '';
  };
}

function fieldsCheck({ required = [], properties = {}, additionalProperties }: Schema): Check {
  const fields = new Map(Object.entries(properties).map(([name, field]) => [name, checkOf(field)]));
  const others = additionalProperties && checkOf(additionalProperties);
  return (value) => {
    if (!isObject(value)) return '';
    for (const name of required) if (!Object.hasOwn(value, name) || value[name] === undefined) return `.${name}`;
    for (const name of Object.keys(value)) {
      const below = value[name] === undefined ? undefined : (fields.get(name) ?? others)?.(value[name]);
      if (below !== undefined) return `.${name}${below}`;
    }
    return undefined;
  };
}

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const largest: Readonly<Record<string, number>> = { int32: 2 ** 31 - 1, int64: Number.MAX_SAFE_INTEGER };

function integerCheck({ minimum = -Infinity, format = '' }: Schema): Check {
  const maximum = largest[format] ?? Infinity;
  return (value) => (Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum ? undefined : '');
}

function textCheck({ enum: values, pattern = '', format, minLength = 0, maxLength = Infinity }: Schema): Check {
  const form = new RegExp(pattern);
  const fits = (text: string): boolean =>
    text.length >= minLength &&
    text.length <= maxLength &&
    values?.includes(text) !== false &&
    form.test(text) &&
    (format !== 'date-time' || isMoment(text));
  // A status can have hundreds of entries with the same root and the same date.
  let last: string | undefined;
  return (text) => {
    if (text === last && text !== undefined) return undefined;
    if (typeof text !== 'string' || !fits(text)) return '';
    last = text;
    return undefined;
  };
}

const moment = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$/;

/** Matches RFC 3339 in UTC, as the operator writes it. JavaScript accepts February 30, but the API server refuses it. */
const isMoment = (text: string): boolean =>
  moment.test(text) && (text.slice(8, 10) < '29' || new Date(text).toISOString().startsWith(text.slice(0, 10)));
