import specSchema from './authority-spec.json' with { type: 'json' };
import { apiVersion } from './constants.ts';
import { isObject } from './schema.ts';

/** A manifest of an MtlsAuthority, as a user writes it: without status, and without the defaults of spec. */
export interface AuthorityManifest {
  readonly apiVersion: typeof apiVersion;
  readonly kind: 'MtlsAuthority';
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** The part of an OpenAPI schema that is checked. An object with `properties` has no other fields. */
interface InputSchema {
  readonly type: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, InputSchema>>;
  readonly additionalProperties?: InputSchema;
  readonly items?: InputSchema;
  /** The pattern of the keys of `additionalProperties`. */
  readonly keys?: string;
}

const nameSegment = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
const subdomain = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
const qualifiedName = `^(${subdomain}/)?${nameSegment}$`;

const schema: InputSchema = {
  type: 'object',
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { type: 'string', enum: [apiVersion] },
    kind: { type: 'string', enum: ['MtlsAuthority'] },
    metadata: {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 253, pattern: `^${subdomain}$` },
        labels: {
          type: 'object',
          keys: qualifiedName,
          additionalProperties: { type: 'string', pattern: `^(${nameSegment})?$` },
        },
        annotations: { type: 'object', keys: qualifiedName, additionalProperties: { type: 'string' } },
      },
    },
    spec: specSchema,
  },
};

/** The first problem of a list of manifests: `[0].spec.secretName is missing`. Undefined for a valid list. */
export function manifestsProblem(list: unknown): string | undefined {
  if (!Array.isArray(list)) return 'the file must hold a JSON list of MtlsAuthority manifests';
  const names = new Set<string>();
  for (const [i, manifest] of list.entries()) {
    const problem = problemOf(schema, manifest, `[${i}]`);
    if (problem !== undefined) return problem;
    const { name } = (manifest as AuthorityManifest).metadata;
    if (names.has(name)) return `[${i}].metadata.name ${JSON.stringify(name)} occurs twice`;
    names.add(name);
  }
  return undefined;
}

/** The API server also checks CEL rules, which this function leaves out. */
function problemOf(expected: InputSchema, value: unknown, path: string): string | undefined {
  switch (expected.type) {
    case 'object':
      return isObject(value) ? fieldsProblem(expected, value, path) : `${path} must be an object`;
    case 'array':
      return Array.isArray(value) ? listProblem(expected, value, path) : `${path} must be a list`;
    case 'string':
      return typeof value === 'string' ? textProblem(expected, value, path) : `${path} must be a string`;
    case 'integer':
      return numberProblem(expected, value, path);
    default:
      return typeof value === expected.type ? undefined : `${path} must be a ${expected.type}`;
  }
}

function fieldsProblem(
  { required = [], properties, additionalProperties, maxProperties = Infinity, keys = '' }: InputSchema,
  value: Readonly<Record<string, unknown>>,
  path: string,
): string | undefined {
  const names = Object.keys(value);
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${path}.${missing} is missing`;
  if (names.length > maxProperties) return `${path} must have at most ${maxProperties} fields`;
  for (const name of names) {
    const field = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    const below = /^\w+$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
    if (field === undefined) return `${below} is not a field of an MtlsAuthority manifest`;
    if (!new RegExp(keys).test(name)) return `${below} is not a valid key`;
    const problem = problemOf(field, value[name], below);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function listProblem(
  { items, minItems = 0, maxItems = Infinity }: InputSchema,
  value: readonly unknown[],
  path: string,
): string | undefined {
  if (value.length < minItems) return `${path} must have at least ${minItems} ${minItems === 1 ? 'entry' : 'entries'}`;
  if (value.length > maxItems) return `${path} must have at most ${maxItems} entries`;
  if (items === undefined) return undefined;
  for (const [i, item] of value.entries()) {
    const problem = problemOf(items, item, `${path}[${i}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function textProblem(
  { enum: values, pattern = '', minLength = 0, maxLength = Infinity }: InputSchema,
  value: string,
  path: string,
): string | undefined {
  if (values?.includes(value) === false) return `${path} must be ${values.join(' or ')}`;
  // The API server counts code points.
  const { length } = Array.from(value);
  if (length === 0 && minLength > 0) return `${path} must not be empty`;
  if (length < minLength) return `${path} must have at least ${minLength} characters`;
  if (length > maxLength) return `${path} must have at most ${maxLength} characters`;
  return goPattern(pattern).test(value)
    ? undefined
    : `${path} ${JSON.stringify(value)} does not match the pattern ${pattern}`;
}

/** The pattern as Go reads it: in Go, \s has no spaces beyond ASCII. The patterns of the CRDs use it only inside brackets. */
const goPattern = (pattern: string): RegExp => new RegExp(pattern.replaceAll('\\s', '\\t\\n\\f\\r '), 'u');

function numberProblem({ minimum, maximum }: InputSchema, value: unknown, path: string): string | undefined {
  if (!Number.isSafeInteger(value)) return `${path} must be a whole number`;
  const number = value as number;
  if (minimum !== undefined && number < minimum) return `${path} must be at least ${minimum}`;
  if (maximum !== undefined && number > maximum) return `${path} must be at most ${maximum}`;
  return undefined;
}
