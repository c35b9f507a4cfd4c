/** The content that a pod has loaded from a mounted object. */
export interface Loaded {
  /** Identity of the root of its certificate, if it has one: any certificate of that CA verifies it. */
  readonly root?: string | undefined;
  /** When its certificate expires; absent in a pod without a certificate, which only verifies others. */
  readonly notAfterMs?: number;
  /** Identities of the trusted roots, with their expiry in milliseconds. */
  readonly trusted: ReadonlyMap<string, number>;
  /** The content is a podCertificate volume: it has no trusted roots, and verifies nothing. */
  readonly isPodCertificate?: true;
}

/** A pod: the content that it has loaded, and the content that it will load. */
interface Pod {
  readonly namespace: string;
  readonly lagMs: number;
  loaded: Loaded;
  coming: { readonly atMs: number; readonly content: Loaded }[];
}

/** Pods that load mounted objects late. Every pod connects to every other. */
export class WorldPods {
  /** By mounted object: `secrets shop/c1-server-tls`. */
  readonly #pods = new Map<string, Pod>();
  readonly #lagOf: (mount: string, count: number) => number;
  readonly #check: () => void;
  /** Roots of certificates that a pod has shown. */
  readonly #shown = new Set<string>();

  /**
   * @param lagOf how long a pod takes to load a change of its mounted object, in milliseconds
   * @param check called after each load, because a connection can break only then
   */
  constructor(lagOf: (mount: string, count: number) => number, check: () => void) {
    this.#lagOf = lagOf;
    this.#check = check;
  }

  /** A mounted object has changed. If it is new, a pod starts that could not start before, and loads it at once. */
  changed(mount: string, namespace: string, content: Loaded, nowMs: number): void {
    const pod = this.#pods.get(mount);
    if (pod !== undefined) pod.coming.push({ atMs: nowMs + pod.lagMs, content });
    else this.#pods.set(mount, { namespace, lagMs: this.#lagOf(mount, this.#pods.size), loaded: content, coming: [] });
  }

  /** A container starts with content that it does not read again. */
  freeze(mount: string, namespace: string, content: Loaded): void {
    this.#pods.set(mount, { namespace, lagMs: 0, loaded: content, coming: [] });
  }

  has = (mount: string): boolean => this.#pods.has(mount);

  /** Pods end. */
  end(isEnding: (mount: string) => boolean): void {
    for (const mount of [...this.#pods.keys()].filter(isEnding)) this.#pods.delete(mount);
  }

  /** Forgets the pods of a deleted namespace. */
  forget(namespace: string): void {
    for (const [mount, pod] of this.#pods) if (pod.namespace === namespace) this.#pods.delete(mount);
  }

  /**
   * A pod whose podCertificate has expired loads the next one, or shows none until kubelet has it, even if the clock is then set
   * back.
   */
  dropExpired(wallMs: number): void {
    const isExpired = ({ isPodCertificate, notAfterMs = 0 }: Loaded) =>
      isPodCertificate === true && notAfterMs <= wallMs;
    for (const [mount, pod] of this.#pods) {
      if (!isExpired(pod.loaded)) continue;
      const next = pod.coming.findLast(({ content }) => !isExpired(content));
      if (next === undefined) this.#pods.delete(mount);
      else [pod.loaded, pod.coming] = [next.content, []];
    }
  }

  /** Loads all due content into pods. */
  tick(nowMs: number): void {
    for (const pod of this.#pods.values()) {
      const due = pod.coming.filter(({ atMs }) => atMs <= nowMs);
      pod.coming = pod.coming.filter(({ atMs }) => atMs > nowMs);
      for (const { content } of due.toSorted((a, b) => a.atMs - b.atMs)) {
        pod.loaded = content;
        this.#check();
      }
    }
  }

  /** All contents that a pod has loaded or will load. */
  contents(): Loaded[] {
    return [...this.#pods.values()].flatMap(({ loaded, coming }) => [loaded, ...coming.map(({ content }) => content)]);
  }

  /** The first pod that does not trust the certificate of another one; undefined when all connections work. */
  failure(wallMs: number): string | undefined {
    const pods = [...this.#pods];
    for (const [, { loaded }] of pods) if (loaded.root !== undefined) this.#shown.add(loaded.root);
    // A pod whose certificate has expired does not take part any more, nor a pod whose verifiable roots have all expired.
    const verifiesUntilMs = ({ trusted }: Loaded): number =>
      Math.max(...[...trusted].map(([root, notAfterMs]) => (this.#shown.has(root) ? notAfterMs : 0)));
    const live = pods.filter(([, { loaded }]) => (loaded.notAfterMs ?? verifiesUntilMs(loaded)) > wallMs);
    for (const [shows, { loaded }] of live) {
      if (loaded.notAfterMs === undefined) continue;
      for (const [verifies, other] of live) {
        if (other.loaded.isPodCertificate === true) continue;
        if (loaded.root === undefined || !other.loaded.trusted.has(loaded.root)) {
          return `the pod with ${verifies} does not trust what the pod with ${shows} shows`;
        }
      }
    }
    return undefined;
  }
}
