import { type KubeClient, type KubeObject, keyOf } from '../../src/kube/index.ts';
import type { Contestant } from './contestant.ts';

/** After this time without progress, a measurement fails. */
const stalledMs = 120_000;

interface Waiting {
  readonly count: number;
  readonly resolve: () => void;
  readonly timer: NodeJS.Timeout;
}

/** Watches resources and records when each was issued, as `kubectl get --watch` would show it. */
export class Progress {
  /** When each object was first seen to have been issued, by `namespace/name`, on the clock of `performance.now()`. */
  readonly issuedAt = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #client: KubeClient;
  readonly #contestant: Contestant;
  readonly #times: number;
  readonly #waiting = new Set<Waiting>();
  readonly #awaited = new Map<string, () => void>();
  readonly #ended: Promise<void>;
  #isIgnored: (key: string) => boolean = () => false;
  #failure: Error | undefined;

  /**
   * Watches from `resourceVersion`.
   * @param times how often a resource must have been issued
   */
  constructor(client: KubeClient, contestant: Contestant, resourceVersion: string, times = 1) {
    this.#client = client;
    this.#contestant = contestant;
    this.#times = times;
    this.#ended = this.#run(resourceVersion).catch((error: unknown) => {
      this.#failure = new Error('the watch failed', { cause: error });
    });
  }

  /** Watches from now. */
  static async begin(client: KubeClient, contestant: Contestant, times = 1): Promise<Progress> {
    const { resourceVersion } = await client.list(contestant.resource, { limit: 1 });
    return new Progress(client, contestant, resourceVersion, times);
  }

  /** Ignores resources that are not part of the measurement. */
  ignore(isIgnored: (key: string) => boolean): void {
    this.#isIgnored = isIgnored;
  }

  /** Resolves, in the same turn of the event loop, when `count` are issued. @throws without progress, or when the watch fails */
  async reached(count: number): Promise<void> {
    if (this.issuedAt.size >= count) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, stalledMs);
    const waiting = { count, resolve, timer };
    this.#waiting.add(waiting);
    await Promise.race([promise, this.#ended]);
    clearTimeout(timer);
    this.#waiting.delete(waiting);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.issuedAt.size < count) {
      throw new Error(`${this.#contestant.name} has issued ${this.issuedAt.size} of ${count} and makes no progress`);
    }
  }

  /** Resolves when this object has been issued. */
  async seen(key: string): Promise<void> {
    if (this.issuedAt.has(key)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaited.set(key, resolve);
    await Promise.race([promise, this.#ended]);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(from: string): Promise<void> {
    const { signal } = this.#stop;
    let resourceVersion = from;
    while (!signal.aborted) {
      const options = { resourceVersion, timeoutSeconds: 3600, signal };
      for await (const event of this.#client.watch(this.#contestant.resource, options)) {
        resourceVersion = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
        if (event.type === 'ADDED' || event.type === 'MODIFIED') this.#see(event.object);
      }
    }
  }

  #see(object: KubeObject): void {
    const key = keyOf(object.metadata);
    if (this.issuedAt.has(key) || this.#isIgnored(key) || !this.#contestant.isIssued(object, this.#times)) return;
    this.issuedAt.set(key, performance.now());
    this.#awaited.get(key)?.();
    this.#awaited.delete(key);
    for (const { count, resolve, timer } of this.#waiting) {
      timer.refresh();
      if (this.issuedAt.size >= count) resolve();
    }
  }
}
