import type { KeyObject } from 'node:crypto';
import { generatePrivateKey, type KeySpec } from '../pki/index.ts';

/** What becomes of the keys that are slow to make. */
export interface KeyMakerOptions {
  /** How many are made at a time. */
  readonly concurrency: number;
  /** Called when a key that was not there is, or could not be made: its owner should ask again. */
  readonly onReady: (owner: string) => void;
}

interface Order {
  readonly spec: KeySpec;
  readonly since: Date;
  key?: KeyObject;
}

/**
 * Makes private keys without keeping anybody waiting. The search for RSA primes takes from milliseconds to half a minute;
 * a reconcile that waited for it would hold a worker, and enough of them all workers. Keys of other kinds are there at once.
 */
export class KeyMaker {
  readonly #options: KeyMakerOptions;
  /** By owner, then by purpose. */
  readonly #orders = new Map<string, Map<string, Order>>();
  readonly #waiting: Array<() => Promise<void>> = [];
  #running = 0;

  constructor(options: KeyMakerOptions) {
    this.#options = options;
  }

  /** A new key, which is handed out once; or since when it is being made. */
  async take(owner: string, purpose: string, spec: KeySpec, now: Date): Promise<KeyObject | { since: Date }> {
    if (spec.algorithm !== 'RSA') return generatePrivateKey(spec);
    const orders = this.#orders.get(owner) ?? new Map<string, Order>();
    this.#orders.set(owner, orders);
    const order = orders.get(purpose);
    if (order?.spec.algorithm === 'RSA' && order.spec.size === spec.size) {
      if (order.key === undefined) return { since: order.since };
      this.#forget(owner, purpose);
      return order.key;
    }
    const placed: Order = { spec, since: now };
    orders.set(purpose, placed);
    this.#waiting.push(() => this.#make(owner, purpose, placed));
    this.#next();
    return { since: now };
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
    if (this.#running >= this.#options.concurrency) return;
    const make = this.#waiting.shift();
    if (make === undefined) return;
    this.#running += 1;
    void make().finally(() => {
      this.#running -= 1;
      this.#next();
    });
  }

  async #make(owner: string, purpose: string, order: Order): Promise<void> {
    // Dropped, or asked for anew in another size, while it waited.
    if (this.#orders.get(owner)?.get(purpose) !== order) return;
    try {
      order.key = await generatePrivateKey(order.spec);
    } catch {
      // Nothing is known of why OpenSSL could not; the owner asks again, and that places a new order.
      this.#forget(owner, purpose);
    }
    this.#options.onReady(owner);
  }
}
