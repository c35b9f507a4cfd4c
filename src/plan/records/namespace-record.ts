/** The parts of a Namespace that plans need. */
export interface NamespaceRecord {
  readonly name: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The namespace is being deleted. The API server refuses new objects in it. */
  readonly terminating: boolean;
}

/** A namespace as plans see it. */
export interface KnownNamespace extends Pick<NamespaceRecord, 'name' | 'terminating'> {
  /** Absent while the operator may not read the namespace. */
  readonly labels?: NamespaceRecord['labels'];
  /** The operator may not read the ConfigMaps of the namespace. */
  readonly configMapsForbidden?: true;
}
