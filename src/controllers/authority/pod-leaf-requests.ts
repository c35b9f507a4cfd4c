/**
 * The certificates for pods that wait until the root Secret records how long they are valid. The signer requests the record
 * here, and tries again when the state of the authority has changed. One reconciler writes the root Secret.
 */
export class PodLeafRequests {
  readonly #onRequest: (authority: string) => void;
  /** By name of authority and identity of the root: the latest notAfter. */
  readonly #requested = new Map<string, Map<string, Date>>();

  /** @param onRequest queues the authority */
  constructor(onRequest: (authority: string) => void) {
    this.#onRequest = onRequest;
  }

  /**
   * Requests that the root Secret of an authority records this time.
   * @param root the identity of the root that signs, see anchorId
   */
  request(authority: string, root: string, notAfter: Date): void {
    const roots = this.#requested.get(authority) ?? new Map<string, Date>();
    const known = roots.get(root);
    if (known === undefined || known < notAfter) roots.set(root, notAfter);
    this.#requested.set(authority, roots);
    this.#onRequest(authority);
  }

  /** The requests for an authority that no reconcile has answered, by identity of the root. */
  of(authority: string): ReadonlyMap<string, Date> | undefined {
    const roots = this.#requested.get(authority);
    return roots && new Map(roots);
  }

  /**
   * Drops the requests that a reconcile has answered. A request for a root that does not sign any more is answered too: the signer
   * requests again for the other root.
   */
  answered(authority: string, answered: ReadonlyMap<string, Date> | undefined): void {
    const roots = this.#requested.get(authority);
    for (const [root, notAfter] of answered ?? []) if (roots?.get(root) === notAfter) roots.delete(root);
    if (roots?.size === 0) this.#requested.delete(authority);
  }

  /** Forgets a deleted authority. */
  forget(authority: string): void {
    this.#requested.delete(authority);
  }
}
