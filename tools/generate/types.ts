import { isAlwaysSet, type Kind, type ObjectType, type Schema, typesOf } from './schema.ts';

const HEADER = `// Generated from crds/ by \`npm run generate\`. Do not edit.

/** The metadata of a Kubernetes object, as far as it is used here. */
export interface ObjectMeta {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Counts the changes of spec. */
  readonly generation: number;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  /** RFC 3339; present when the object is being deleted. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The metadata of an object that lives in a namespace. */
export interface NamespacedObjectMeta extends ObjectMeta {
  readonly namespace: string;
}
`;

/** The text of src/api/types.ts: an interface for every kind and for every object type in it. */
export function typesFile(kinds: readonly Kind[]): string {
  return [HEADER, ...kinds.map(kindInterface), ...typesOf(kinds).map(typeInterface)].join('\n');
}

function kindInterface({ crd, version, schema }: Kind): string {
  const { group, names, scope } = crd.spec;
  const metadata = scope === 'Namespaced' ? 'NamespacedObjectMeta' : 'ObjectMeta';
  return `${comment(schema.description, '')}export interface ${names.kind} {
  readonly apiVersion: '${group}/${version.name}';
  readonly kind: '${names.kind}';
  readonly metadata: ${metadata};
${field('spec', schema)}${statusField(schema)}}
`;
}

function typeInterface({ name, description, schema }: ObjectType): string {
  const fields = Object.keys(schema.properties ?? {}).map((property) => field(property, schema));
  return `${comment(description, '')}export interface ${name} {\n${fields.join('')}}\n`;
}

/** Optional although it has a default: an object to be created has none, nor has one from before there was a default. */
function statusField({ properties }: Schema): string {
  const schema = properties?.['status'];
  if (schema === undefined) return '';
  const { default: _, ...status } = schema;
  return field('status', { type: 'object', properties: { status } });
}

function field(name: string, owner: Schema): string {
  const property = owner.properties?.[name];
  if (property === undefined) return '';
  const isDescribed = /\bdefault\b/i.test(property.description ?? '');
  const fallback =
    property.default === undefined || isDescribed ? '' : ` Default: ${JSON.stringify(property.default)}.`;
  const optional = isAlwaysSet(name, owner) ? '' : '?';
  return `${comment(`${property.description}${fallback}`, '  ')}  readonly ${name}${optional}: ${typeOf(property)};\n`;
}

function typeOf(schema: Schema): string {
  if (schema.properties !== undefined) return String(schema.title);
  if (schema.enum !== undefined) return schema.enum.map((value) => `'${value}'`).join(' | ');
  if (schema.items !== undefined) {
    const item = typeOf(schema.items);
    return schema.items.enum === undefined ? `readonly ${item}[]` : `readonly (${item})[]`;
  }
  if (schema.additionalProperties !== undefined)
    return `Readonly<Record<string, ${typeOf(schema.additionalProperties)}>>`;
  if (schema.type === 'string' || schema.type === 'boolean') return schema.type;
  if (schema.type === 'integer') return 'number';
  throw new Error(`no TypeScript type for a schema of type ${schema.type} without items or properties`);
}

function comment(text: string | undefined, indent: string): string {
  if (text === undefined) return '';
  const lines = wrap(text, 116 - indent.length);
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
