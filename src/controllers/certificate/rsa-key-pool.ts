import type { KeyObject } from 'node:crypto';
import { FairQueue } from '../../kube/index.ts';
import { generatePrivateKey, type KeySpec } from '../../pki/index.ts';

export interface RsaKeyPoolOptions {
  /** How many RSA keys are generated at the same time. */
  readonly concurrency: number;
  /** Called when an ordered key is ready or could not be generated: the owner should call `take` again. */
  readonly onReady: (owner: string) => void;
  readonly generate?: (spec: KeySpec) => Promise<KeyObject>;
}

interface Order {
  readonly spec: KeySpec;
  readonly since: Date;
  key?: KeyObject;
}

/**
 * Generates private keys without blocking a reconcile. The search for RSA primes takes from milliseconds to half a minute.
 * Reconciles that waited for it would occupy all workers. Keys of other algorithms are generated at once.
 *
 * Namespaces take turns, and each has one RSA key being generated at a time. So the first key of a namespace waits for at most
 * one key of every other namespace, however many keys they have ordered.
 */
export class RsaKeyPool {
  readonly #options: Required<RsaKeyPoolOptions>;
  /** By owner (namespace/name), then by purpose. */
  readonly #orders = new Map<string, Map<string, Order>>();
  /** Keys are owner/purpose. A dropped order keeps its place in the queue, and is skipped there. */
  readonly #waiting = new FairQueue((key) => key.split('/', 1)[0] ?? '', 1);
  #running = 0;

  constructor(options: RsaKeyPoolOptions) {
    this.#options = { generate: generatePrivateKey, ...options };
  }

  /** Returns a new key, once; or the time since which it is being generated. @param owner namespace/name */
  async take(owner: string, purpose: string, spec: KeySpec, now: Date): Promise<KeyObject | { since: Date }> {
    if (spec.algorithm !== 'RSA') return this.#options.generate(spec);
    const orders = this.#orders.get(owner) ?? new Map<string, Order>();
    this.#orders.set(owner, orders);
    const order = orders.get(purpose);
    if (order?.spec.algorithm === 'RSA' && order.spec.size === spec.size) {
      if (order.key === undefined) return { since: order.since };
      this.#forget(owner, purpose);
      return order.key;
    }
    orders.set(purpose, { spec, since: now });
    this.#waiting.push(`${owner}/${purpose}`);
    this.#next();
    return { since: now };
  }

  /** Drops all orders. A key that is being generated is discarded when it is ready. */
  stop(): void {
    this.#orders.clear();
  }

  /** Drops the orders of an owner. */
  drop(owner: string): void {
    this.#orders.delete(owner);
  }

  #forget(owner: string, purpose: string): void {
    const orders = this.#orders.get(owner);
    orders?.delete(purpose);
    if (orders?.size === 0) this.#orders.delete(owner);
  }

  #next(): void {
    while (this.#running < this.#options.concurrency) {
      const key = this.#waiting.take();
      if (key === undefined) return;
      this.#running += 1;
      void this.#make(key).finally(() => {
        this.#running -= 1;
        this.#waiting.done(key);
        this.#next();
      });
    }
  }

  async #make(key: string): Promise<void> {
    const end = key.lastIndexOf('/');
    const [owner, purpose] = [key.slice(0, end), key.slice(end + 1)];
    const order = this.#orders.get(owner)?.get(purpose);
    // Dropped while it waited.
    if (order === undefined) return;
    try {
      order.key = await this.#options.generate(order.spec);
    } catch {
      // OpenSSL gives no useful reason. The owner calls `take` again, which places a new order.
      if (this.#orders.get(owner)?.get(purpose) === order) this.#forget(owner, purpose);
    }
    this.#options.onReady(owner);
  }
}
