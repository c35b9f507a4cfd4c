/** What is known of a Namespace. */
export interface NamespaceRecord {
  readonly name: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** It is being deleted: nothing can be created in it any more. */
  readonly terminating: boolean;
}
