/** The parts of a Namespace that plans need. */
export interface NamespaceRecord {
  readonly name: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The namespace is being deleted. The API server refuses new objects in it. */
  readonly terminating: boolean;
}
