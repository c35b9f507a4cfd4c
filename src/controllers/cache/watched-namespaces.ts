/** Whether the operator may list and watch a kind in a namespace. `unknown`: the API server has not answered yet. */
export type Access = 'permitted' | 'forbidden' | 'unknown';

/** A kind whose objects the operator watches in each watched namespace; `namespaces`: the watched namespace itself. */
export type WatchedKind = 'mtlscertificates' | 'secrets' | 'configmaps' | 'namespaces';

/** The namespaces that the operator watches, and which kinds it may read there. */
export class WatchedNamespaces {
  /** Sorted; undefined: all namespaces, each readable. */
  readonly names: readonly string[] | undefined;
  readonly #access = new Map<string, Access>();
  readonly #retries = new Map<string, Array<() => void>>();
  readonly #onChange: (namespace: string) => void;

  /** @param onChange called after the access to a kind in this namespace changed */
  constructor(names: readonly string[] | undefined, onChange: (namespace: string) => void) {
    this.names = names && [...new Set(names)].sort();
    this.#onChange = onChange;
  }

  /** The access to a kind in a watched namespace. */
  access(kind: WatchedKind, namespace: string): Access {
    return this.names === undefined ? 'permitted' : (this.#access.get(`${kind}/${namespace}`) ?? 'unknown');
  }

  note(kind: WatchedKind, namespace: string, isPermitted: boolean): void {
    this.#access.set(`${kind}/${namespace}`, isPermitted ? 'permitted' : 'forbidden');
    // The rights in a namespace usually come together.
    if (isPermitted) this.retry(namespace);
    this.#onChange(namespace);
  }

  /** @param retry makes a reflector that waits for a right in this namespace try again at once */
  onRetry(namespace: string, retry: () => void): void {
    this.#retries.set(namespace, [...(this.#retries.get(namespace) ?? []), retry]);
  }

  /** Makes all reflectors that wait for a right in this namespace try again at once. */
  retry(namespace: string): void {
    for (const retry of this.#retries.get(namespace) ?? []) retry();
  }

  /** The namespaces in which to list a kind, for a request; undefined: one request for all namespaces. */
  readable(kind: WatchedKind): ReadonlyArray<string | undefined> {
    return this.names?.filter((name) => this.access(kind, name) === 'permitted') ?? [undefined];
  }
}
