import { isObjectName } from '../../api/object-name.ts';
import { isObject } from '../../api/schema.ts';
import { certificateFields, issuerFields, type SourceField } from './source-fields.ts';

/** A field or an object that has no equal, or a remark. The field is a path such as spec.usages, or empty for the whole object. */
export interface Remark {
  readonly field: string;
  readonly text: string;
}

export type Fields = Readonly<Record<string, unknown>>;

export type SourceKind = 'Bundle' | 'Certificate' | 'ClusterIssuer' | 'Issuer';

/** An object of cert-manager. Its spec has only known fields with the right types if `problems` is empty. */
export interface SourceObject {
  readonly kind: SourceKind;
  /** Empty for a ClusterIssuer and a Bundle. */
  readonly namespace: string;
  readonly name: string;
  readonly spec: Fields;
  readonly problems: readonly Remark[];
}

const groups: ReadonlyMap<string, RegExp> = new Map([
  ['Certificate', /^cert-manager\.io\//],
  ['Issuer', /^cert-manager\.io\//],
  ['ClusterIssuer', /^cert-manager\.io\//],
  ['Bundle', /^trust\.cert-manager\.io\//],
]);

const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Text without control characters, which could change the terminal. */
export const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '?');

/** A short form of a value from the input, for a message. */
export const quote = (value: unknown): string => {
  const plain = printable(JSON.stringify(value) ?? 'nothing');
  return plain.length <= 80 ? plain : `${plain.slice(0, 77)}…`;
};

/** The objects in documents and in lists of them. Objects of other kinds are left out. */
export function sourceObjects(documents: readonly unknown[], defaultNamespace: string | undefined): SourceObject[] {
  const found: SourceObject[] = [];
  const open = [...documents].reverse();
  while (open.length > 0) {
    const value = open.pop();
    if (!isObject(value)) continue;
    const items = Object.hasOwn(value, 'items') ? value['items'] : undefined;
    if (typeof value['kind'] === 'string' && value['kind'].endsWith('List') && Array.isArray(items)) {
      for (let i = items.length - 1; i >= 0; i -= 1) open.push(items[i]);
    } else {
      const object = sourceObject(value, defaultNamespace);
      if (object !== undefined) found.push(object);
    }
  }
  return found;
}

function sourceObject(value: Fields, defaultNamespace: string | undefined): SourceObject | undefined {
  const { kind, apiVersion, metadata } = value;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string' || groups.get(kind)?.test(apiVersion) !== true)
    return undefined;
  const meta = isObject(metadata) ? metadata : {};
  const isNamespaced = kind === 'Certificate' || kind === 'Issuer';
  const namespace = isNamespaced ? (meta['namespace'] ?? defaultNamespace) : '';
  const { name } = meta;
  const problems: Remark[] = [];
  if (apiVersion !== 'cert-manager.io/v1' && kind !== 'Bundle')
    problems.push({
      field: 'apiVersion',
      text: `${quote(apiVersion)} is not cert-manager.io/v1; read the object from the API server`,
    });
  if (!isObjectName(name)) problems.push({ field: 'metadata.name', text: `${quote(name)} is not a name` });
  if (isNamespaced && namespace === undefined)
    problems.push({ field: 'metadata.namespace', text: 'the manifest has no namespace; use --namespace' });
  else if (isNamespaced && (typeof namespace !== 'string' || !namespacePattern.test(namespace)))
    problems.push({ field: 'metadata.namespace', text: `${quote(namespace)} is not a namespace` });
  const spec = isObject(value['spec']) ? value['spec'] : {};
  if (!isObject(value['spec'])) problems.push({ field: 'spec', text: 'it is missing or not an object' });
  if (kind !== 'Bundle')
    problems.push(...fieldProblems(spec, kind === 'Certificate' ? certificateFields : issuerFields));
  return {
    kind: kind as SourceKind,
    namespace: typeof namespace === 'string' ? (namespace.length > 63 ? quote(namespace) : printable(namespace)) : '',
    name: typeof name === 'string' && name.length <= 253 ? printable(name) : quote(name),
    spec,
    problems,
  };
}

/** Unknown fields, and fields of the wrong type. A field that is null counts as absent, as it does for the API server. */
function fieldProblems(spec: Fields, table: readonly SourceField[]): Remark[] {
  const rows = new Map(table.map((field) => [field.path, field]));
  const problems: Remark[] = [];
  const visit = (value: Fields, prefix: string): void => {
    for (const name of Object.keys(value)) {
      const below = value[name];
      const field = rows.get(prefix + name);
      const path = `spec.${prefix}${/^\w{1,60}$/.test(name) ? name : quote(name)}`;
      if (below === null || below === undefined) continue;
      if (field === undefined) problems.push({ field: path, text: 'this version of the tool does not know the field' });
      else if (!hasType(below, field))
        problems.push({ field: path, text: `${shown(path, below)} is not ${typeNames[field.type]}` });
      else if (field.type === 'object') visit(below as Fields, `${field.path}.`);
      else if (field.type === 'objects') for (const item of below as Fields[]) visit(item, `${field.path}[].`);
    }
  };
  visit(spec, '');
  return problems;
}

/** A password does not belong in a report. */
const shown = (path: string, value: unknown): string => (path.endsWith('.password') ? 'the value' : quote(value));

const typeNames: Readonly<Record<SourceField['type'], string>> = {
  any: '',
  boolean: 'true or false',
  integer: 'a whole number',
  map: 'a map of strings',
  object: 'an object',
  objects: 'a list of objects',
  string: 'a string',
  strings: 'a list of strings',
};

function hasType(value: unknown, { type }: SourceField): boolean {
  switch (type) {
    case 'any':
      return true;
    case 'integer':
      return Number.isSafeInteger(value);
    case 'map':
      return isObject(value) && Object.values(value).every((text) => typeof text === 'string');
    case 'object':
      return isObject(value);
    case 'objects':
      return Array.isArray(value) && value.every(isObject);
    case 'strings':
      return Array.isArray(value) && value.every((text) => typeof text === 'string');
    default:
      return typeof value === type;
  }
}

/** A field of an object whose types have been checked. */
const own = (fields: Fields, name: string): unknown =>
  Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;

/** The text of a field; undefined if it is absent or empty. */
export const text = (fields: Fields, name: string): string | undefined =>
  (own(fields, name) as string | undefined) || undefined;
export const texts = (fields: Fields, name: string): readonly string[] =>
  (own(fields, name) as string[] | undefined) ?? [];
export const number = (fields: Fields, name: string): number | undefined => own(fields, name) as number | undefined;
export const flag = (fields: Fields, name: string): boolean => own(fields, name) === true;
export const object = (fields: Fields, name: string): Fields => (own(fields, name) as Fields | undefined) ?? {};
export const objects = (fields: Fields, name: string): readonly Fields[] =>
  (own(fields, name) as Fields[] | undefined) ?? [];

/** The refused fields that an object sets. A field that is false or empty sets nothing. */
export function refusedFields(spec: Fields, table: readonly SourceField[]): Remark[] {
  return table
    .filter(({ fate, path }) => fate === 'refused' && !isEmpty(valueAt(spec, path)))
    .map(({ path, becomes }) => ({ field: `spec.${path}`, text: becomes }));
}

const valueAt = (spec: Fields, path: string): unknown =>
  path.split('.').reduce<unknown>((value, name) => (isObject(value) ? own(value, name) : undefined), spec);

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === false || value === '' || (Array.isArray(value) && value.length === 0);
