/** What a pod has loaded from what is mounted. */
export interface Loaded {
  /** Identity of the root of its certificate, where it has one: any certificate of that CA verifies it. */
  readonly root?: string | undefined;
  /** When its certificate expires; absent in a pod that has none, and only verifies others. */
  readonly notAfterMs?: number;
  /** Identities of the roots that it trusts, and when each expires, in milliseconds. */
  readonly trusted: ReadonlyMap<string, number>;
}

/** A pod: what it has loaded, and what is on its way to it. */
interface Pod {
  readonly namespace: string;
  readonly lagMs: number;
  loaded: Loaded;
  coming: { readonly atMs: number; readonly content: Loaded }[];
}

/** Pods that load what they mount late. Every pod talks to every other. */
export class WorldPods {
  /** By what they mount: `secrets shop/c1-server-tls`. */
  readonly #pods = new Map<string, Pod>();
  readonly #lagOf: (mount: string, count: number) => number;
  readonly #check: () => void;
  /** Roots of which a pod has shown a certificate. */
  readonly #shown = new Set<string>();

  /**
   * @param lagOf how long a pod takes to load a change of what it mounts, in milliseconds
   * @param check called after each load: that is when a connection would fail
   */
  constructor(lagOf: (mount: string, count: number) => number, check: () => void) {
    this.#lagOf = lagOf;
    this.#check = check;
  }

  /** What is mounted has changed. A pod that could not start before, since it was not there, has it at once. */
  changed(mount: string, namespace: string, content: Loaded, nowMs: number): void {
    const pod = this.#pods.get(mount);
    if (pod !== undefined) pod.coming.push({ atMs: nowMs + pod.lagMs, content });
    else this.#pods.set(mount, { namespace, lagMs: this.#lagOf(mount, this.#pods.size), loaded: content, coming: [] });
  }

  /** A namespace is gone, with the pods in it. */
  forget(namespace: string): void {
    for (const [mount, pod] of this.#pods) if (pod.namespace === namespace) this.#pods.delete(mount);
  }

  /** Pods load what is due. */
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

  /** Everything that a pod has loaded, or is going to. */
  contents(): Loaded[] {
    return [...this.#pods.values()].flatMap(({ loaded, coming }) => [loaded, ...coming.map(({ content }) => content)]);
  }

  /** The first pod that does not trust what another one shows; undefined when all connections work. */
  failure(wallMs: number): string | undefined {
    const pods = [...this.#pods];
    for (const [, { loaded }] of pods) if (loaded.root !== undefined) this.#shown.add(loaded.root);
    // A pod whose own certificate has expired takes no part any more, nor one for which everything has that it could verify.
    const verifiesUntilMs = ({ trusted }: Loaded): number =>
      Math.max(...[...trusted].map(([root, notAfterMs]) => (this.#shown.has(root) ? notAfterMs : 0)));
    const live = pods.filter(([, { loaded }]) => (loaded.notAfterMs ?? verifiesUntilMs(loaded)) > wallMs);
    for (const [shows, { loaded }] of live) {
      if (loaded.notAfterMs === undefined) continue;
      for (const [verifies, other] of live) {
        if (loaded.root === undefined || !other.loaded.trusted.has(loaded.root)) {
          return `the pod with ${verifies} does not trust what the pod with ${shows} shows`;
        }
      }
    }
    return undefined;
  }
}
