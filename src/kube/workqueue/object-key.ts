/** Identifies an object among those of its kind. Cluster-scoped kinds have no `namespace`. */
export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** The key of an object in queues and stores: `namespace/name`, or `name` for cluster-scoped kinds. */
export function keyOf(ref: ObjectRef): string {
  return ref.namespace ? `${ref.namespace}/${ref.name}` : ref.name;
}

/** The inverse of {@link keyOf}. Names of objects contain no slash. */
export function refOf(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
