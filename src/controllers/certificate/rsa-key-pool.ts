import type { KeyObject } from 'node:crypto';
import { FairQueue } from '../../kube/index.ts';
import { generatePrivateKey, type KeySpec } from '../../pki/index.ts';

/** How keys that are slow to generate are generated. */
export interface RsaKeyPoolOptions {
  /** How many are generated at a time. */
  readonly concurrency: number;
  /** Called when a key that was not there is, or could not be generated: its owner should ask again. */
  readonly onReady: (owner: string) => void;
  readonly generate?: (spec: KeySpec) => Promise<KeyObject>;
}

interface Order {
  readonly spec: KeySpec;
  readonly since: Date;
  key?: KeyObject;
}

/**
 * Generates private keys without blocking a reconcile. The search for RSA primes takes from milliseconds to half a minute; a
 * reconcile that waited for it would hold a worker, and enough of them all workers. Keys of other kinds are there at once.
 *
 * Namespaces take turns, and a namespace has one RSA key at a time being generated. So however many keys the other
 * namespaces have ordered, the first key of a namespace waits for at most one key of each of them.
 */
export class RsaKeyPool {
  readonly #options: Required<RsaKeyPoolOptions>;
  /** By owner (namespace/name), then by purpose. */
  readonly #orders = new Map<string, Map<string, Order>>();
  /** Keys are owner/purpose. An order that was dropped keeps its place, and is passed over there. */
  readonly #waiting = new FairQueue((key) => key.split('/', 1)[0] ?? '', 1);
  #running = 0;

  constructor(options: RsaKeyPoolOptions) {
    this.#options = { generate: generatePrivateKey, ...options };
  }

  /** A new key, which is handed out once; or since when it is being generated. The owner is namespace/name. */
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

  /** Gives up all keys. Those that are being generated are thrown away when they are ready. */
  stop(): void {
    this.#orders.clear();
  }

  /** Gives up the keys of an owner that wants none any more. */
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
      // Nothing is known of why OpenSSL could not; the owner asks again, and that places a new order.
      if (this.#orders.get(owner)?.get(purpose) === order) this.#forget(owner, purpose);
    }
    this.#options.onReady(owner);
  }
}
