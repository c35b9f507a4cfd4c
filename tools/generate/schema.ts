import { isDeepStrictEqual } from 'node:util';

/** An OpenAPI schema, as far as the CRDs use it. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly format?: string;
  readonly default?: unknown;
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
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Pick<Schema, 'required'>[];
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

interface Version {
  readonly name: string;
  readonly selectableFields?: readonly { readonly jsonPath: string }[];
  readonly additionalPrinterColumns: readonly { readonly name: string; readonly priority?: number }[];
  readonly schema: { readonly openAPIV3Schema: Schema };
}

/** A CustomResourceDefinition, as far as the generator reads it. */
export interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly Version[];
  };
}

/** An object type of a schema: it has a name (its title) and becomes an interface and a section of the reference. */
export interface ObjectType {
  readonly name: string;
  /** Absent where the places that use the type describe it differently. */
  readonly description: string | undefined;
  readonly schema: Schema;
}

/** A kind, with its object types from spec to status in the order of the schema. */
export interface Kind {
  readonly crd: Crd;
  readonly version: Version;
  readonly schema: Schema;
  readonly types: readonly ObjectType[];
}

/**
 * Reads a CRD. Throws when it has more than one version, when a field has no description, when an object has no title,
 * or when two different objects have the same title.
 */
export function readKind(crd: Crd): Kind {
  const [version, ...others] = crd.spec.versions;
  if (version === undefined || others.length > 0)
    throw new Error(`${crd.metadata.name}: exactly one version is expected`);
  const schema = version.schema.openAPIV3Schema;
  const types = new Map<string, ObjectType>();
  for (const field of ['spec', 'status'])
    collectTypes(`${crd.spec.names.kind}.${field}`, schema.properties?.[field], types);
  return { crd, version, schema, types: [...types.values()] };
}

/** The object types of all kinds; one that several kinds have is there once. Throws when two of one name differ. */
export function typesOf(kinds: readonly Kind[]): readonly ObjectType[] {
  const types = new Map<string, ObjectType>();
  for (const type of kinds.flatMap((kind) => kind.types)) addType(type.name, type, types);
  return [...types.values()];
}

/**
 * Whether a reader always finds the field: it is required, or the API server fills in a default. Of two names for one
 * field (anyOf), the operator reads the second as the first.
 */
export function isAlwaysSet(name: string, owner: Schema): boolean {
  const required = [...(owner.required ?? []), ...(owner.anyOf?.[0]?.required ?? [])];
  return required.includes(name) || owner.properties?.[name]?.default !== undefined;
}

function collectTypes(path: string, schema: Schema | undefined, types: Map<string, ObjectType>): void {
  if (schema?.description === undefined) throw new Error(`${path} has no description`);
  if (schema.items !== undefined) collectTypes(`${path}[]`, schema.items, types);
  if (schema.additionalProperties !== undefined) collectTypes(`${path}.*`, schema.additionalProperties, types);
  if (schema.properties === undefined) return;
  if (schema.title === undefined) throw new Error(`${path} has no title to name its type`);
  addType(path, { name: schema.title, description: schema.description, schema }, types);
  for (const [name, property] of Object.entries(schema.properties)) collectTypes(`${path}.${name}`, property, types);
}

function addType(path: string, type: ObjectType, types: Map<string, ObjectType>): void {
  const known = types.get(type.name);
  if (known === undefined) {
    types.set(type.name, type);
    return;
  }
  const shape = (schema: Schema): Schema => ({ ...schema, description: '' });
  if (!isDeepStrictEqual(shape(known.schema), shape(type.schema))) {
    throw new Error(`${path}: there is another type with the title ${type.name}`);
  }
  if (known.description !== type.description) types.set(type.name, { ...known, description: undefined });
}
