import { isAlwaysSet, type Kind, type ObjectType, type Schema, typesOf } from './schema.ts';

const HEADER = `<!-- Generated from crds/ by \`npm run generate\`. Do not edit. -->

# API reference

A number in parentheses limits the characters of a string, the items of a list or the entries of a map, or gives the range of a
number. The API server fills in a field that has a default. \`kubectl explain mcert.spec\` and \`kubectl explain mauth.spec\` show the same
text.
`;

/** The text of docs/reference/api.md: a section for every kind and for every object type. */
export function referenceFile(kinds: readonly Kind[]): string {
  const types = typesOf(kinds);
  const shared = types.filter((type) => kinds.every((kind) => hasType(kind, type)));
  const sections = kinds.flatMap((kind) => [
    kindSection(kind),
    ...types.filter((type) => hasType(kind, type) && !shared.includes(type)).map(typeSection),
  ]);
  return [HEADER, ...sections, '## In both kinds\n', ...shared.map(typeSection)].join('\n');
}

function hasType(kind: Kind, type: ObjectType): boolean {
  return kind.types.some(({ name }) => name === type.name);
}

function kindSection({ crd, version, schema }: Kind): string {
  const { group, names, scope } = crd.spec;
  const columns = (wide: boolean): string =>
    version.additionalPrinterColumns
      .filter(({ priority = 0 }) => priority > 0 === wide)
      .map(({ name }) => name)
      .join(', ');
  return [
    `## ${names.kind}`,
    '',
    String(schema.description),
    '',
    `- \`apiVersion: ${group}/${version.name}\`, \`kind: ${names.kind}\`, ${scope === 'Cluster' ? 'cluster-scoped' : 'namespaced'}`,
    `- Short name ${code(names.shortNames)}, category ${code(names.categories)}`,
    `- \`kubectl get\` shows ${columns(false)}; with \`-o wide\` also ${columns(true)}`,
    ...(version.selectableFields === undefined ? [] : [`- Field selectors: ${selectors(version.selectableFields)}`]),
    '',
    ...rules(schema),
  ].join('\n');
}

const selectors = (fields: readonly { readonly jsonPath: string }[]): string =>
  code(fields.map(({ jsonPath }) => jsonPath.slice(1)));

function typeSection({ name, description, schema }: ObjectType): string {
  return [
    `### ${name}`,
    '',
    ...(description === undefined ? [] : [description, '']),
    '| Field | Type | Default | Description |',
    '|---|---|---|---|',
    ...Object.entries(schema.properties ?? {}).map(([field, property]) => row(field, property, schema)),
    '',
    ...rules(schema),
  ].join('\n');
}

function row(name: string, property: Schema, owner: Schema): string {
  const required = isAlwaysSet(name, owner) ? 'required' : '';
  const fallback = property.default === undefined ? required : `\`${inline(property.default)}\``;
  return `| \`${name}\` | ${typeOf(property)} | ${fallback} | ${escape(String(property.description))} |`;
}

function typeOf(schema: Schema): string {
  if (schema.properties !== undefined) return `[${schema.title}](#${schema.title?.toLowerCase()})`;
  if (schema.enum !== undefined) return code(schema.enum);
  if (schema.items !== undefined) return `list${atMost(schema.maxItems)} of ${typeOf(schema.items)}`;
  if (schema.additionalProperties !== undefined) {
    return `map${atMost(schema.maxProperties)} of string to ${typeOf(schema.additionalProperties)}`;
  }
  if (schema.format === 'date-time') return 'time (RFC 3339)';
  return schema.type === 'integer' ? `integer${range(schema)}` : `${schema.type}${atMost(schema.maxLength)}`;
}

function atMost(limit: number | undefined): string {
  return limit === undefined ? '' : ` (${limit})`;
}

function range({ minimum, maximum }: Schema): string {
  if (minimum === undefined) return '';
  return maximum === undefined ? ` (from ${minimum})` : ` (${minimum} to ${maximum})`;
}

/** What the API server refuses besides wrong types and sizes: the messages of the CEL rules, of a type and its plain fields. */
function rules(schema: Schema): string[] {
  const own = messages(schema).map((message) => `- ${message}`);
  const ofFields = Object.entries(schema.properties ?? {})
    .filter(([, property]) => property.properties === undefined)
    .flatMap(([name, property]) =>
      [property, property.items].flatMap(messages).map((text) => `- \`${name}\`: ${text}`),
    );
  const all = [...own, ...ofFields];
  return all.length === 0 ? [] : ['Rules:', '', ...all, ''];
}

function messages(schema: Schema | undefined): string[] {
  return (schema?.['x-kubernetes-validations'] ?? []).map(({ message }) => escape(message));
}

function inline(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return `{${Object.entries(value)
    .map(([key, entry]) => `${key}: ${inline(entry)}`)
    .join(', ')}}`;
}

function code(values: readonly string[]): string {
  return values.map((value) => `\`${value}\``).join(', ');
}

/** Text as it stands in a table cell: no bar ends the cell, no angle bracket opens a tag. */
function escape(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll(/\s+/g, ' ').trim();
}
